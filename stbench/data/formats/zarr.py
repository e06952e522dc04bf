"""Zarr stores (formats 2 and 3), read through xarray: a folder named ``*.zarr`` on this machine stands for one file.

WeatherBench 2 and reanalyses come as such stores; a part of one is copied here before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stbench.data.formats.extras import needed
from stbench.data.formats.fields import AUTO, Choice, Item, field_of, recordings_of
from stbench.data.formats.guard import readable
from stbench.data.formats.netcdf import choose_field, fields_in
from stbench.data.formats.recording import Recording

SUFFIXES = (".zarr",)


def open_zarr(path: Path, name: str, variable: str | None = None, choice: Choice = AUTO) -> list[Recording]:
    """Open a variable (time, level, lat, lon) in any order as a recording of float32 frames, as from NetCDF.

    Every file of the store counts for the fingerprint of the data.

    Raises:
        UserError: xarray or zarr is not installed, the store is damaged, lacks the variable, holds several and none is
            named, or its axes, level or times cannot be told.
    """
    wanted, at, level = (variable or "").partition("@")
    choice = replace(choice, level=float(level)) if at else choice
    parts = tuple(sorted(part for part in path.rglob("*") if part.is_file()))
    with _items(path) as items:
        chosen = choose_field(path, items, wanted or None)
        found = field_of(path, items, chosen, partial(_opened, path, chosen), floats=True)
        return [replace(recording, paths=parts) for recording in recordings_of(found, name, choice)]


def variables_of(path: Path) -> list[str]:
    """Return the names of the fields that a store holds."""
    with _items(path) as items:
        return fields_in(items)


@contextmanager
def _items(path: Path) -> Iterator[dict[str, Item]]:
    """The arrays of a store as stored: neither unpacked nor with missing values replaced, which is done later."""
    because = f"{path} is a zarr store"
    needed("zarr", because)
    xarray = needed("xarray", because)
    with readable(path, "zarr"), xarray.open_zarr(path, chunks=None, decode_cf=False) as store:
        yield {
            str(key): Item(array, dict(array.attrs), tuple(map(str, array.dims)))
            for key, array in store.variables.items()
        }


@contextmanager
def _opened(path: Path, key: str) -> Iterator[Any]:
    with _items(path) as items:
        yield items[key].values
