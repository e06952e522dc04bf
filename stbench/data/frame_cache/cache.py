"""The frame cache: frames decoded once to disk, memory-mapped by whoever reads them.

A cache folder holds ``frames.bin`` (F, C, H, W), ``statistics.bin`` (F, C, 4) float64, ``seconds.bin`` (F,) float64
and, written last, ``index.json``; a folder without an index is incomplete.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from stbench.data.formats.listing import expanded
from stbench.data.formats.recording import STANDARD, STORED_TYPES, Frames, Seconds
from stbench.errors import UserError
from stbench.schema import Record

CACHE_VARIABLE = "STBENCH_CACHE"
FOLDER = "prepared"  # as version 0.1 named it, so that what it decoded is found
CHUNK = 8 << 20
INDEX, FRAMES, STATISTICS, SECONDS = "index.json", "frames.bin", "statistics.bin", "seconds.bin"


class CachedRecording(Record):
    """A recording's place in the frame cache.

    Attributes:
        name: of the recording.
        first: number of its first frame.
        length: number of its frames.
        calendar: of its times.
        filled: how many of its values were filled in.
        missing: how many of its values are missing, before frames are resized; they are NaN.
        sums: CRC-32 of its part of each file.
    """

    name: str
    first: int
    length: int
    calendar: str = STANDARD
    filled: int = 0
    missing: int = 0
    sums: tuple[int, ...] = ()


class Index(Record):
    """What a cache folder holds. ``source`` is the sha256 of the files it was decoded from."""

    format: int
    dtype: str
    frame: tuple[int, int, int]
    recordings: tuple[CachedRecording, ...]
    source: str
    files: int


def cache_dir() -> Path:
    """Return where decoded frames are kept: below ``$STBENCH_CACHE``, else the per-user cache folder."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    base = expanded(named) if named else Path(platformdirs.user_cache_dir("stbench", appauthor=False))
    return base / FOLDER


def is_intact(folder: Path, recording: CachedRecording, per_frame: Mapping[str, int]) -> bool:
    """Tell whether the files hold a recording's bytes as they were decoded.

    Args:
        folder: of the files.
        recording: its place and sums; without sums (earlier versions) only the lengths of the files are looked at.
        per_frame: bytes of a frame in each file, in the order of the sums.
    """
    for number, (name, size) in enumerate(per_frame.items()):
        with (folder / name).open("rb") as file:
            file.seek(recording.first * size)
            left, found = recording.length * size, 0
            while left and (chunk := file.read(min(left, CHUNK))):
                left -= len(chunk)
                found = zlib.crc32(chunk, found)
        if left or (recording.sums and found != recording.sums[number]):
            return False
    return True


class FrameCache:
    """A complete cache folder. Pickling carries its path, so that workers map the files themselves.

    Raises:
        UserError: it is incomplete or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.index = Index.parse(json.loads((path / INDEX).read_text(encoding="utf-8")), str(path / INDEX))
        except (OSError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{path} holds no decoded frames ({error}). Remove it and run the command again."
            ) from error
        if self.index.dtype not in map(str, STORED_TYPES):
            raise UserError(
                f"{path / INDEX} names the type {self.index.dtype!r} (damaged?). Remove {path} and run again."
            )
        self.count = sum(recording.length for recording in self.index.recordings)
        for name, size in self._sizes().items():
            if not (path / name).is_file() or (path / name).stat().st_size != size:
                raise UserError(f"{path / name} is damaged: it must have {size} bytes. Remove {path} and run again.")

    @cached_property
    def frames(self) -> Frames:
        """Frames (F, C, H, W), read-only."""
        return self._mapped(FRAMES, self.index.dtype, (self.count, *self.index.frame))

    @cached_property
    def statistics(self) -> npt.NDArray[np.float64]:
        """Minimum, maximum, mean and variance of each frame and channel, (F, C, 4)."""
        return np.array(self._mapped(STATISTICS, "float64", (self.count, self.index.frame[0], 4)))

    @cached_property
    def seconds(self) -> Seconds:
        """Seconds since 1970 at which each frame was taken, (F,); NaN if unknown."""
        return np.array(self._mapped(SECONDS, "float64", (self.count,)))

    def damaged(self) -> str | None:
        """Return the name of a recording whose bytes are not those that were decoded; None if all are right."""
        per_recording = self.count or 1
        sizes = {name: size // per_recording for name, size in self._sizes().items()}
        return next((known.name for known in self.index.recordings if not is_intact(self.path, known, sizes)), None)

    def _sizes(self) -> dict[str, int]:
        values = self.count * int(np.prod(self.index.frame))
        return {
            FRAMES: values * np.dtype(self.index.dtype).itemsize,
            STATISTICS: self.count * self.index.frame[0] * 4 * 8,
            SECONDS: self.count * 8,
        }

    def _mapped(self, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return np.memmap(self.path / name, dtype=dtype, mode="r", shape=shape)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index, "count": self.count}
