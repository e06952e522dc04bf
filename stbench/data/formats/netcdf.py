"""NetCDF files: version 4 through h5py, the classic format through scipy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from scipy.io import netcdf_file

from stbench.data.formats.fields import AUTO, Choice, Item, field_of, recordings_of
from stbench.data.formats.guard import open_h5
from stbench.data.formats.hdf5 import items_of
from stbench.data.formats.recording import Recording
from stbench.errors import UserError

SUFFIXES = (".nc", ".nc4", ".cdf")
HDF5_MAGIC = b"\x89HDF"
BOUNDS = ("_bnds", "_bounds")  # edges of cells and periods
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError)


def open_netcdf(path: Path, name: str, variable: str | None = None, choice: Choice = AUTO) -> list[Recording]:
    """Open a variable (time, lat, lon in any order), or one level of it, as a recording of float32 frames.

    ``r@500`` is the variable ``r`` at level 500 of the file's coordinate. Packed values are unpacked; missing values
    are NaN (:mod:`stbench.data.formats.packed`).

    Raises:
        UserError: the file is damaged, lacks the variable, or holds several and none is named; or its axes, level or
            times are ambiguous.
    """
    wanted, at, level = (variable or "").partition("@")
    choice = replace(choice, level=float(level)) if at else choice
    with _items(path) as items:
        chosen = choose_field(path, items, wanted or None)
        found = field_of(path, items, chosen, partial(_opened, path, chosen), floats=True)
        return recordings_of(found, name, choice)


def variables_of(path: Path) -> list[str]:
    """Return the names of the variables with three or more axes."""
    with _items(path) as items:
        return fields_in(items)


@contextmanager
def _items(path: Path) -> Iterator[dict[str, Item]]:
    """Open a file and give its arrays by name."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic == HDF5_MAGIC:
            with open_h5(path) as file:
                yield items_of(file)
        else:
            with netcdf_file(path, "r", mmap=False) as file:
                yield {
                    key: Item(item.data, dict(vars(item)["_attributes"]), tuple(item.dimensions))
                    for key, item in file.variables.items()
                }
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as NetCDF (cut short or damaged?): {error}. Fetch it again.") from error


@contextmanager
def _opened(path: Path, key: str) -> Iterator[Any]:
    with _items(path) as items:
        yield items[key].values


def fields_in(items: dict[str, Item]) -> list[str]:
    """Return the names of the arrays that may be fields: numbers with a time and a grid, no edges of cells."""
    return [
        key
        for key, item in items.items()
        if len(item.sizes) >= 3 and item.values.dtype.kind in "uif" and not key.endswith(BOUNDS)
    ]


def choose_field(path: Path, items: dict[str, Item], variable: str | None) -> str:
    """Return the name of the field to read.

    Raises:
        UserError: it is not there, or there are several and none is named.
    """
    fields = fields_in(items)
    if variable is not None and variable not in fields:
        raise UserError(f"{path} lacks the variable {variable!r}; it holds: {', '.join(fields) or 'none'}.")
    if variable is None and len(fields) != 1:
        raise UserError(f"{path} holds the variables {', '.join(fields) or 'none'}. Say which with --variable NAME.")
    return variable or fields[0]
