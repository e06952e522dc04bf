"""npy and npz files: one series, or N clips."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stbench.data.formats.axes import NAMES, Shape
from stbench.data.formats.fields import AUTO, Choice, Field, Item, field_of, recordings_of
from stbench.data.formats.guard import check_npy, check_npz, read_header
from stbench.data.formats.recording import Frames, Recording
from stbench.errors import UserError

OBJECTS = ("Object arrays", "Python objects in dtype")  # numpy's messages for dtype=object in npz and npy
NAMELESS = {"missing values": "none declared", "units": "not stated"}
DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
PAIR = re.compile(
    r"(?:(?P<before>train|training|val|valid|validation|test|testing)[_-]?)?"
    r"(?:(?P<past>x|inputs?|past)|(?:y|targets?|outputs?|labels?|future))"
    r"(?:[_-]?(?P<after>train|training|val|valid|validation|test|testing))?",
    re.IGNORECASE,
)
"""Names of arrays that hold the past or the future of clips, of one split perhaps."""
DIMENSIONS = ("dims", "dimensions", "axes", "layout")  # arrays of text that name the axes


def open_array(path: Path, name: str, key: str | None = None, choice: Choice = AUTO) -> list[Recording]:
    """Return the recordings of a file: one per clip if its array has a clip axis, else one.

    Raises:
        UserError: the file is damaged, holds several arrays and none is named, or does not fit the layout.
    """
    if path.suffix.lower() == ".npy":
        check_npy(path)
        array = _load_npy(path)
        return recordings_of(
            Field(path, "", Shape(array.shape, str(path)), array.dtype, partial(_opened, path), facts=NAMELESS),
            name,
            choice,
        )
    check_npz(path)
    chosen = _npz_key(path, key)
    items = _npz_items(path, chosen)
    found = field_of(path, items, chosen, partial(_held, items[chosen].values))
    recordings = recordings_of(found, name, choice)
    if len(recordings) > 1:
        return recordings  # many clips share the array, which stays in memory
    again = replace(found, open=partial(_opened, path, chosen))
    return recordings_of(again, name, choice, load=lambda: items[chosen].values)


@contextmanager
def _opened(path: Path, key: str | None = None) -> Iterator[Frames]:
    yield _load_npy(path) if key is None else _load_npz(path, key)


@contextmanager
def _held(array: Frames) -> Iterator[Frames]:
    yield array


def _load_npy(path: Path) -> Frames:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except DAMAGE as error:
        raise _unreadable(path, "npy", error) from error


def _load_npz(path: Path, key: str) -> Frames:
    try:
        with np.load(path, allow_pickle=False) as file:
            return file[key]  # type: ignore[no-any-return]
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    if any(words in str(error) for words in OBJECTS):
        return UserError(
            f"{path} holds Python objects (dtype object), not an array of numbers, as where clips of different lengths "
            "are put together. Save a file for each clip, or clips of one length as one array of numbers."
        )
    return UserError(f"{path} cannot be read as {kind} (cut short or damaged?): {error}.")


def _npz_key(path: Path, key: str | None) -> str:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if f"{name}.npy" in file.zip.namelist()]
            long = [name for name in names if len(_shape(file, name)) >= 3]
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error
    if key is not None and key not in names:
        raise UserError(f"{path} lacks the array {key!r}; it holds: {', '.join(names) or 'nothing'}.")
    if key is None and len(long) != 1:
        raise UserError(
            f"{path} holds {len(long)} arrays of three or more axes ({', '.join(long) or 'none'}). "
            f"Say which one is meant with --variable NAME.{pairs_hint(long)}"
        )
    return key or long[0]


def names_of(path: Path) -> list[str]:
    """Return the names of the arrays in an npz file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return list(file.files)
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error


def pairs_hint(names: Sequence[str]) -> str:
    """Return what to do about pairs of past and future (X and Y); empty if names are no such pairs."""
    sides: dict[str, set[bool]] = {}
    for name in names:
        found = PAIR.fullmatch(name)
        if found is not None:
            split = found["before"] or found["after"] or ""
            sides.setdefault(split.lower(), set()).add(found["past"] is not None)
    if not any(len(side) == 2 for side in sides.values()):
        return ""
    return (
        " Past and future frames in two arrays (X, Y) are one clip: save them together, "
        "numpy.concatenate([X, Y], axis=1), and arrays of the test set to a file named test.npy beside train.npy."
    )


def _shape(file: Any, name: str) -> tuple[int, ...]:
    """Return the shape of a member from its header alone."""
    with file.zip.open(f"{name}.npy") as stream:
        return read_header(stream)[0]


def _npz_items(path: Path, key: str) -> dict[str, Item]:
    """Return the chosen array and the one-axis arrays beside it, which may be times or levels."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {key: file[key]}
            for name in file.files:
                if name != key and f"{name}.npy" in file.zip.namelist() and len(_shape(file, name)) <= 1:
                    values[name] = _member(file, name)
    except UserError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, "npz", error) from error
    texts = next((np.ravel(values[name]) for name in DIMENSIONS if name in values and name != key), None)
    names = (
        None if texts is None or texts.dtype.kind != "U" or len(texts) != values[key].ndim else tuple(texts.tolist())
    )
    return {
        name: Item(value, {}, names if name == key else None) for name, value in values.items() if value is not None
    }


def _member(file: Any, name: str) -> Any:
    """Return a small member; None if it holds objects, unless its name is that of times."""
    try:
        return file[name]
    except ValueError:
        if name.lower() in NAMES["T"]:
            raise UserError(
                f"{file.zip.filename}: its times cannot be read: {name!r} holds Python objects. Save "
                "them as numpy.datetime64 or text."
            ) from None
        return None
