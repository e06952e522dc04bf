"""NetCDF files: version 4 through h5py, the classic format through scipy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import netcdf_file

from stbench.data.formats.guard import open_h5
from stbench.data.formats.recording import Blocks, Frames, Minutes, Recording, in_blocks
from stbench.data.formats.timestamps import minutes_of_units
from stbench.errors import UserError

SUFFIXES = (".nc", ".nc4", ".cdf")
HDF5_MAGIC = b"\x89HDF"
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, IndexError, AssertionError)


def open_netcdf(path: Path, name: str, variable: str | None = None, level: int = -1) -> Recording:
    """Open a variable (time, lat, lon), or one ``level`` of (time, level, lat, lon), as a recording of float32 frames.

    ``level`` is an index; a variable named ``r@500`` is ``r`` at the level 500 of the file's coordinate ``level``.
    Packed values are unpacked (``scale_factor``, ``add_offset``).

    Raises:
        UserError: the file is damaged, lacks the variable or its time, or holds several and none is named.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        opened = _open4 if magic == HDF5_MAGIC else _open3
        with opened(path) as file:
            variables = _variables(file)
            name_of, at, wanted = (variable or "").partition("@")
            chosen = _chosen(path, variables, name_of or None)
            if at:
                level = _level(path, variables, wanted)
            shape = variables[chosen].shape
            minutes = _minutes(path, file, shape[0])
    except UserError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    frame = shape[-2], shape[-1], 1
    blocks = partial(_blocks, path, chosen, level)
    note = f"variable {chosen}"
    variant = f"{chosen} {level}"
    return Recording(name, (path,), shape[0], frame, np.dtype(np.float32), blocks, minutes, note, variant)


def _level(path: Path, variables: dict[str, Any], wanted: str) -> int:
    """The place of a pressure level in the file's coordinate ``level``."""
    held = [float(value) for value in variables["level"][:]] if "level" in variables else []
    matching = [place for place, value in enumerate(held) if wanted == f"{value:g}"]
    if not matching:
        listing = ", ".join(f"{value:g}" for value in held) or "none"
        raise UserError(f"{path} lacks the level {wanted}; it holds: {listing}.")
    return matching[0]


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as NetCDF (cut short or damaged?): {error}. Fetch it again.")


def _open4(path: Path) -> Any:
    return open_h5(path)


def _open3(path: Path) -> Any:
    return netcdf_file(path, "r", mmap=False)


def _variables(file: Any) -> dict[str, Any]:
    held = file.variables if hasattr(file, "variables") else {key: file[key] for key in file}
    return {key: item for key, item in held.items() if hasattr(item, "shape")}


def _chosen(path: Path, variables: dict[str, Any], variable: str | None) -> str:
    fields = [key for key, item in variables.items() if len(item.shape) >= 3 and _is_number(item)]
    if variable is not None and variable not in fields:
        raise UserError(f"{path} lacks the variable {variable!r}; it holds: {', '.join(fields) or 'none'}.")
    if variable is None and len(fields) != 1:
        raise UserError(f"{path} holds the variables {', '.join(fields) or 'none'}. Say which with --variable NAME.")
    return variable or fields[0]


def _is_number(item: Any) -> bool:
    kind = item.dtype.kind if hasattr(item, "dtype") else np.asarray(item[:1]).dtype.kind
    return kind in "uif"


def _minutes(path: Path, file: Any, length: int) -> Minutes | None:
    times = _variables(file).get("time")
    if times is None:
        return None
    if tuple(times.shape) != (length,):
        raise UserError(f"{path}: 'time' has shape {tuple(times.shape)}, expected ({length},).")
    units = _attribute(times, "units", b"")
    text = units.decode() if isinstance(units, bytes) else str(units)
    return minutes_of_units(times[:], text, str(path))


def _attribute(item: Any, name: str, default: Any) -> Any:
    held = item.attrs if hasattr(item, "attrs") else item._attributes
    return held.get(name, default)


def _blocks(path: Path, variable: str, level: int) -> Blocks:
    try:
        values = _read(path, variable, level)
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    yield from in_blocks(values[..., None], np.dtype(np.float32))


def _read(path: Path, variable: str, level: int) -> Frames:
    """Unpacked values (T, H, W)."""
    with path.open("rb") as stream:
        opened = _open4 if stream.read(4) == HDF5_MAGIC else _open3
    with opened(path) as file:
        item = _variables(file)[variable]
        scale, offset = (
            float(np.ravel(_attribute(item, key, default))[0])
            for key, default in (("scale_factor", 1), ("add_offset", 0))
        )
        values: Frames = np.asarray(item[:])
    values = values[:, level] if values.ndim == 4 else values
    return values if (scale, offset) == (1.0, 0.0) else values * scale + offset
