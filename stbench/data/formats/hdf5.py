"""HDF5 files: one frame each, as radar products are distributed, or a whole series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stbench.data.formats.arrays import Layout, recordings_of_array
from stbench.data.formats.guard import open_h5
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.data.formats.timestamps import minutes_of_names
from stbench.errors import UserError

SUFFIXES = (".h5", ".hdf5", ".hdf")
EMPTY: dict[str, Any] = {}
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError)  # the last three: attributes that are no numbers
FORMULA = re.compile(rb"GEO\s*=\s*([-+.\deE]+)\s*\*\s*PV\s*(?:([-+]\s*[.\deE]+)|\+\s*([-+.\deE]+))?")


def open_hdf5(paths: Sequence[Path], name: str, key: str | None = None, layout: Layout = "auto") -> list[Recording]:
    """Return one recording of files that hold a picture each, or the recordings of files that hold series or clips.

    Raises:
        UserError: a file cannot be read, or does not say which of several arrays is meant.
    """
    chosen, axes = _chosen(paths[0], key)
    if axes > 2:
        found = []
        for path in paths:
            own = name if len(paths) == 1 else f"{name}/{path.stem}"
            found += recordings_of_array(path, own, partial(_load, path, chosen), None, layout, chosen)
        return found
    first = read_picture(paths[0], chosen)
    minutes = minutes_of_names([path.stem for path in paths])
    blocks = partial(_blocks, tuple(paths), chosen, first.shape)
    frame = first.shape[0], first.shape[1], 1
    note = "calibrated to physical units; pixels without a measurement are 0"
    return [Recording(name, tuple(paths), len(paths), frame, np.dtype(np.float32), blocks, minutes, note, chosen)]


def read_picture(path: Path, key: str) -> Frames:
    """Read a picture (H, W, 1), float32 in physical units; pixels marked as missing or outside become 0.

    The calibration is looked for beside the picture: KNMI's ``calibration`` group, or ODIM's ``what`` (gain, offset,
    nodata, undetect).

    Raises:
        UserError: the file cannot be read or lacks the picture.
    """
    try:
        with open_h5(path) as file:
            if not _is_field(file.get(key)):
                raise UserError(f"{path} lacks the array {key!r} of numbers, which the files before it hold.")
            raw = file[key][...]
            gain, offset, empty = _calibration(file[key].parent)
    except UserError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    picture = raw.astype(np.float32) * np.float32(gain) + np.float32(offset)
    picture[np.isin(raw, empty)] = 0
    return picture[..., None]  # type: ignore[no-any-return]


def _blocks(paths: tuple[Path, ...], key: str, shape: tuple[int, ...]) -> Blocks:
    for start in range(0, len(paths), BLOCK_FRAMES):
        frames = []
        for path in paths[start : start + BLOCK_FRAMES]:
            frames.append(read_picture(path, key))
            if frames[-1].shape != shape:
                raise UserError(f"{path}: the picture is {frames[-1].shape[:2]}, those before it {shape[:2]}.")
        yield np.stack(frames)


def _load(path: Path, key: str) -> Frames:
    try:
        with open_h5(path) as file:
            if not _is_field(file.get(key)):
                raise UserError(f"{path} lacks the array {key!r} of numbers, which the files before it hold.")
            return file[key][...]  # type: ignore[no-any-return]
    except UserError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, error) from error


def _is_field(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "uif"


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as HDF5 (cut short or damaged?): {error}. Fetch it again.")


def _chosen(path: Path, key: str | None) -> tuple[str, int]:
    """Name and axes of the array meant: the one named, the largest of three or more axes, else the first picture."""
    found: dict[str, tuple[int, ...]] = {}
    others: list[str] = []

    def note(name: str, item: Any) -> None:
        if _is_field(item):
            found[name] = item.shape
        elif isinstance(item, h5py.Dataset) and item.ndim >= 2:
            others.append(f"{name} of {item.dtype}")

    try:
        with open_h5(path) as file:
            file.visititems(note)
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    if key is not None and key not in found:
        raise UserError(
            f"{path} lacks an array {key!r} of numbers; it holds: {', '.join((*found, *others)) or 'none'}."
        )
    if not found:
        raise UserError(f"{path} holds no numbers of two or more axes, but {', '.join(others) or 'nothing'}.")
    series = [name for name, shape in found.items() if len(shape) >= 3]
    if key is None and len(series) > 1:
        raise UserError(f"{path} holds {len(series)} arrays ({', '.join(series)}). Say which with --variable NAME.")
    chosen = key or (series or list(found))[0]
    return chosen, len(found[chosen])


def _calibration(group: Any) -> tuple[float, float, list[float]]:
    """Gain, offset and the raw values that mean "nothing measured"."""
    if "calibration" in group:
        attributes = group["calibration"].attrs
        match = FORMULA.search(bytes(attributes.get("calibration_formulas", b"")))
        gain, signed, plain = match.groups() if match else (b"1", None, None)
        offset = (signed or plain or b"0").replace(b" ", b"")
        marks = ("calibration_missing_data", "calibration_out_of_image")
        return (
            float(gain),
            float(offset),
            [float(np.ravel(attributes[mark])[0]) for mark in marks if mark in attributes],
        )
    attributes = next((node["what"].attrs for node in (group, group.parent) if "what" in node), EMPTY)
    marks = ("nodata", "undetect")
    empty = [float(attributes[mark]) for mark in marks if mark in attributes]
    return float(attributes.get("gain", 1)), float(attributes.get("offset", 0)), empty
