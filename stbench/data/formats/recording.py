"""What every format returns: a recording, whose size is known and whose frames are decoded when asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stbench.errors import UserError

Frames = npt.NDArray[Any]
Blocks = Iterator[Frames]
Seconds = npt.NDArray[np.float64]

BLOCK_FRAMES = 64
NO_TIME = float("nan")  # the seconds of a frame whose time is unknown
STANDARD = "standard"  # the usual calendar
STORED_TYPES = (np.dtype(np.uint8), np.dtype(np.float16), np.dtype(np.float32))


@dataclass(frozen=True)
class Recording:
    """Frames that follow each other.

    Attributes:
        name: unique within a dataset: the path without suffix, and the number of a clip within a file.
        paths: the files it is read from.
        length: number of frames (a video's container may be off by a few).
        frame: (H, W, C) of a frame.
        dtype: uint8, float16 or float32: how frames are kept.
        blocks: decodes the frames, (T, H, W, C) of ``dtype`` at a time.
        seconds: when each frame was taken, seconds since 1970-01-01 00:00 (T,); None where nothing says so.
        calendar: in which those seconds count.
        facts: what was understood, as text: ``axes``, ``times`` (why none were), ``missing``, ``units``, ``level`` …
        variant: what else its frames depend on (array, axes, cleaning): two recordings of the same files that differ in
            it are decoded separately.
    """

    name: str
    paths: tuple[Path, ...] = field(repr=False)
    length: int
    frame: tuple[int, int, int]
    dtype: np.dtype[Any]
    blocks: Callable[[], Blocks] = field(repr=False)
    seconds: Seconds | None = field(default=None, repr=False)
    calendar: str = STANDARD
    facts: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""


def stored_type(dtype: np.dtype[Any], where: str) -> np.dtype[Any]:
    """Return how values of a file's type are kept: bytes and half floats as they are, other numbers as float32.

    Raises:
        UserError: not numbers.
    """
    if dtype.kind not in "uifb":
        raise UserError(f"{where} holds {dtype}, expected numbers.")
    return dtype if dtype in STORED_TYPES else np.dtype(np.float32)


def in_blocks(array: Frames, dtype: np.dtype[Any]) -> Blocks:
    """Cut an array (T, H, W, C), which may live on disk, into blocks of the stored type."""
    for start in range(0, len(array), BLOCK_FRAMES):
        yield np.asarray(array[start : start + BLOCK_FRAMES]).astype(dtype, copy=False)


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key under which frame2 comes before frame10.

    >>> sorted(["f10", "f2"], key=natural)
    ['f2', 'f10']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text) if part]
