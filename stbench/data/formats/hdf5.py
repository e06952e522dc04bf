"""HDF5 files: one frame per file (radar products), or a whole series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stbench.data.formats.arrays import pairs_hint
from stbench.data.formats.calibration import Calibration, calibration_of
from stbench.data.formats.fields import AUTO, Choice, Item, field_of, recordings_of
from stbench.data.formats.guard import open_h5
from stbench.data.formats.packed import packing_of, text_of
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.data.formats.timestamps import times_of_names
from stbench.errors import UserError

SUFFIXES = (".h5", ".hdf5", ".hdf")
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError)  # the last three: attributes that are no numbers
DIMENSIONS = ("dims", "dimensions", "axes", "layout", "_ARRAY_DIMENSIONS", "DIMENSION_LABELS")


def open_hdf5(paths: Sequence[Path], name: str, key: str | None = None, choice: Choice = AUTO) -> list[Recording]:
    """Return one recording of files with one picture each, or the recordings of files with series or clips.

    Raises:
        UserError: a file cannot be read, holds several arrays and none is named, or its axes are ambiguous.
    """
    chosen, axes = _chosen(paths[0], key)
    if axes > 2:
        found = []
        for path in paths:
            own = name if len(paths) == 1 else f"{name}/{path.stem}"
            with _items(path) as items:
                if not _is_field(items[chosen].values if chosen in items else None):
                    raise _lacking(path, chosen)
                found += recordings_of(field_of(path, items, chosen, partial(_opened, path, chosen)), own, choice)
        return found
    first, calibration = read_picture(paths[0], chosen)
    times = times_of_names(["/".join((*path.parts[-4:-1], path.stem)) for path in paths])
    facts = {
        "axes": f"one frame (H, W) = {first.shape[:2]} in each of {len(paths)} files",
        "missing values": calibration.said,
        "units": calibration.units or "not stated",
        "variable": chosen,
    }
    return [
        Recording(
            name=name,
            paths=tuple(paths),
            length=len(paths),
            frame=(first.shape[0], first.shape[1], 1),
            dtype=np.dtype(np.float32),
            blocks=partial(_blocks, tuple(paths), chosen, first.shape),
            seconds=times.seconds,
            facts=facts | ({} if times.seconds is not None else {"times": times.why}),
            variant=f"{chosen} calibrated",
        )
    ]


def read_picture(path: Path, key: str) -> tuple[Frames, Calibration]:
    """Return a picture (H, W, 1), float32 in physical units, and its calibration; missing pixels are NaN.

    Raises:
        UserError: the file cannot be read or lacks the picture.
    """
    with _file(path) as file:
        if not _is_field(file.get(key)):
            raise _lacking(path, key)
        raw = file[key][...]
        calibration = calibration_of(file[key].parent)
        if calibration is None:
            packing = packing_of(dict(file[key].attrs), f"{path}: {key}")
            units = text_of(file[key].attrs.get("units", ""))
            calibration = Calibration(packing.unpack or (lambda values: values), packing.said, units)
    picture: Frames = calibration.unpack(raw).astype(np.float32)
    return picture[..., None], calibration


def names_of(path: Path) -> list[str]:
    """Return the paths of the arrays in a file.

    Raises:
        UserError: it cannot be read.
    """
    with _items(path) as items:
        return list(items)


def items_of(file: h5py.File) -> dict[str, Item]:
    """Return every array of a file by its path, with the names of its dimensions."""
    found: dict[str, Item] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = Item(item, dict(item.attrs), _names(item))

    file.visititems(note)
    return found


@contextmanager
def _file(path: Path) -> Iterator[h5py.File]:
    """Open a file; damage becomes one message.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open_h5(path) as file:
            yield file
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as HDF5 (cut short or damaged?): {error}. Fetch it again.") from error


@contextmanager
def _items(path: Path) -> Iterator[dict[str, Item]]:
    with _file(path) as file:
        yield items_of(file)


@contextmanager
def _opened(path: Path, key: str) -> Iterator[Any]:
    with _file(path) as file:
        yield file[key]


def _names(item: h5py.Dataset) -> tuple[str, ...] | None:
    """Return the names of the dimensions: from attached scales, labels, or an attribute that lists them."""
    scales = [(axis.keys() or [""])[0] or axis.label for axis in item.dims]
    if item.ndim and all(scales):
        return tuple(_scale_name(item, number, name) for number, name in enumerate(scales))
    for attribute in DIMENSIONS:
        texts = [text_of(value) for value in np.ravel(item.attrs.get(attribute, ()))]
        if len(texts) == 1 and item.ndim > 1:
            texts = texts[0].replace(",", " ").split() if len(texts[0]) != item.ndim else list(texts[0])
        if len(texts) == item.ndim and all(texts):
            return tuple(texts)
    return None


def _scale_name(item: h5py.Dataset, axis: int, name: str) -> str:
    """Return a scale's own name; its label may be empty or say "dimension without a variable"."""
    scales = item.dims[axis].values()
    return str(scales[0].name).rpartition("/")[2] if scales else name


def _blocks(paths: tuple[Path, ...], key: str, shape: tuple[int, ...]) -> Blocks:
    for start in range(0, len(paths), BLOCK_FRAMES):
        frames = []
        for path in paths[start : start + BLOCK_FRAMES]:
            frames.append(read_picture(path, key)[0])
            if frames[-1].shape != shape:
                raise UserError(f"{path}: the picture is {frames[-1].shape[:2]}, those before it {shape[:2]}.")
        yield np.stack(frames)


def _is_field(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "uif"


def _lacking(path: Path, key: str) -> UserError:
    return UserError(f"{path} lacks the array {key!r} of numbers, which the files before it hold.")


def _chosen(path: Path, key: str | None) -> tuple[str, int]:
    """Return name and axes of the array: the named one, the only one with three or more axes, or the first picture."""
    with _items(path) as items:
        found = {name: item.sizes for name, item in items.items() if _is_field(item.values)}
        others = [
            f"{name} of {item.values.dtype}"
            for name, item in items.items()
            if len(item.sizes) >= 2 and name not in found
        ]
        linked = None if key is None or key in found else _target(items, path, key)
    if linked is not None:
        return linked, len(found[linked])
    if key is not None and key not in found:
        raise UserError(
            f"{path} lacks an array {key!r} of numbers; it holds: {', '.join((*found, *others)) or 'none'}."
        )
    if not found:
        raise UserError(f"{path} holds no numbers of two or more axes, but {', '.join(others) or 'nothing'}.")
    series = [name for name, shape in found.items() if len(shape) >= 3]
    if key is None and len(series) > 1:
        raise UserError(
            f"{path} holds {len(series)} arrays ({', '.join(series)}). Say which with --variable NAME."
            f"{pairs_hint(series)}"
        )
    chosen = key or (series or list(found))[0]
    return chosen, len(found[chosen])


def _target(items: Mapping[str, Item], path: Path, key: str) -> str | None:
    """Return the array that a link of this name leads to."""
    with open_h5(path) as file:
        linked = file.get(key)
        return next((name for name in items if linked is not None and file[name] == linked), None)
