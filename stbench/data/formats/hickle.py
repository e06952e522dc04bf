"""Hickle files (HDF5) of frames and of the recording's name per frame, as in PredNet's KITTI.

``X_<split>.hkl`` holds frames (N, H, W, 3), uint8; ``sources_<split>.hkl`` holds one name per frame. Frames of one name
are consecutive in time. Files are read with h5py in the layout of hickle 2 and 3: an array named ``data_0`` (or
``data``); a list is one array of texts or a group of single texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stbench.data.formats.guard import open_h5
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Recording, natural
from stbench.errors import UserError

SUFFIXES = (".hkl",)
FRAMES, NAMES = "X_", "sources_"
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError)


def open_hickle(paths: Sequence[Path], name: str) -> list[Recording]:
    """Return a recording for each name in the ``sources`` files, with frames from the ``X`` file beside it.

    Raises:
        UserError: a file cannot be read or has no partner, or the numbers of frames and names differ.
    """
    found: list[Recording] = []
    for path in paths:
        if path.name.startswith(FRAMES):
            found += _recordings(path, path.with_name(NAMES + path.name.removeprefix(FRAMES)), name)
    if not found:
        raise UserError(f"{paths[0]} is no file of frames: their names begin with {FRAMES}, e.g. X_train.hkl.")
    return found


def _recordings(path: Path, sources: Path, folder: str) -> list[Recording]:
    if not sources.is_file():
        raise UserError(f"{sources} is missing, which names the recording of each frame of {path.name}.")
    key, shape = _frames(path)
    names = _texts(sources)
    if len(names) != shape[0]:
        raise UserError(f"{path} holds {shape[0]} frames and {sources.name} {len(names)} names.")
    edges = [0, *(number for number in range(1, len(names)) if names[number] != names[number - 1]), len(names)]
    starts = [names[first] for first in edges[:-1]]
    twice = next((text for text in starts if starts.count(text) > 1), None)
    if twice is not None:
        raise UserError(f"{sources}: the frames of {twice!r} do not follow each other.")
    return [
        Recording(
            name=f"{folder}/{names[first]}",
            paths=(path, sources),
            length=last - first,
            frame=(shape[1], shape[2], shape[3]),
            dtype=np.dtype(np.uint8),
            blocks=partial(_blocks, path, key, first, last),
            variant=f"frames {first} to {last}",
        )
        for first, last in pairwise(edges)
    ]


def _frames(path: Path) -> tuple[str, tuple[int, ...]]:
    found = {key: item for key, item in _datasets(path) if item[1] == "uint8" and len(item[0]) == 4}
    if len(found) != 1:
        held = ", ".join(f"{key} {item[0]} {item[1]}" for key, item in _datasets(path)[:5]) or "nothing"
        raise UserError(f"{path} holds {len(found)} arrays (N, H, W, C) of bytes, expected one. It holds: {held}.")
    key, (shape, _) = next(iter(found.items()))
    return key, shape


def _datasets(path: Path) -> list[tuple[str, tuple[tuple[int, ...], str]]]:
    found: list[tuple[str, tuple[tuple[int, ...], str]]] = []

    def note(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((key, (item.shape, str(item.dtype))))

    try:
        with open_h5(path) as file:
            file.visititems(note)
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise _unreadable(path, error) from error
    return found


def _texts(path: Path) -> list[str]:
    """Return the texts of a list: one array of texts, or one dataset per text."""
    keys = sorted((key for key, _ in _datasets(path)), key=natural)
    try:
        with open_h5(path) as file:
            parts = [_text(entry) for key in keys for entry in np.atleast_1d(np.asarray(file[key][()]))]
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise _unreadable(path, error) from error
    if not parts:
        raise UserError(f"{path} holds no texts. Its arrays: {', '.join(keys) or 'none'}.")
    return parts


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        return value
    raise TypeError(f"a {type(value).__name__} where a text was expected")


def _blocks(path: Path, key: str, first: int, last: int) -> Blocks:
    with open_h5(path) as file:
        for start in range(first, last, BLOCK_FRAMES):
            yield file[key][start : min(last, start + BLOCK_FRAMES)]


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as hickle (cut short, damaged, or another layout?): {error}.")
