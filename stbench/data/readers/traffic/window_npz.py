"""The field's npz of flow windows in [-1, 1], as one recording of its distinct frames.

Keys ``X_train``, ``Y_train``, ``X_test``, ``Y_test``, each (N, T, C, H, W). The windows overlap, so nearly every frame
is stored once per position. Each frame is kept once, and windows become rows of frame numbers, like those cut from a
series. The shift of neighbouring windows tells which frames are the same
(:mod:`stbench.data.readers.traffic.window_places`).
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stbench.data.formats.guard import check_npz
from stbench.data.formats.recording import Recording, in_blocks
from stbench.data.readers.traffic.window_places import places_of
from stbench.data.splits.windows import Windows
from stbench.errors import UserError
from stbench.schema import ClipShape

TOLERANCE = 1e-4
SAMPLE = 1000
LARGEST_COUNT = 2_000  # above it, float32 rounding hides the spacing of neighbouring counts


def open_window_npz(path: Path, shape: ClipShape) -> tuple[Recording, Windows, Windows]:
    """Open the distinct frames, brought to [0, 1], and the training and test windows (N, T_in+T_out) over them.

    Raises:
        UserError: the file cannot be read, lacks a key, or holds other shapes or values.
    """
    numbers: dict[bytes, int] = {}
    frames: list[npt.NDArray[np.float32]] = []
    splits = []
    for split in ("train", "test"):
        past = _contents(_read(path, f"X_{split}", shape.t_in, shape), numbers, frames)
        future = _contents(_read(path, f"Y_{split}", shape.t_out, shape), numbers, frames)
        if len(past) != len(future):
            raise UserError(f"{path}: X_{split} holds {len(past)} windows and Y_{split} {len(future)}.")
        splits.append(np.concatenate([past, future], axis=1))
    contents_NT = np.concatenate(splits)
    constant_K = np.array([bool((frame == frame.flat[0]).all()) for frame in frames])
    places_NT = places_of(contents_NT, constant_K)
    contents_F = np.empty(places_NT.max() + 1, dtype=np.int64)
    contents_F[places_NT] = contents_NT
    frames_THWC = ((np.stack(frames) + np.float32(1)) / np.float32(2))[contents_F].transpose(0, 2, 3, 1)
    channels, height, width = shape.frame
    recording = Recording(
        name=path.stem,
        paths=(path,),
        length=len(frames_THWC),
        frame=(height, width, channels),
        dtype=frames_THWC.dtype,
        blocks=partial(in_blocks, frames_THWC, frames_THWC.dtype),
        variant=f"windows by shift {shape.t_in} {shape.t_out}",
    )
    return recording, places_NT[: len(splits[0])], places_NT[len(splits[0]) :]


def count_range(frames_TCHW: npt.NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the counts that 0 and 1 stand for, read off the spacing of the values; None if they are no scaled counts.

    The file does not say what it was scaled by. Counts 0 … n divided by n are multiples of 1/n, and a sample of
    frames holds neighbouring counts.
    """
    sample = frames_TCHW[:: max(1, len(frames_TCHW) // SAMPLE)]
    gaps = np.diff(np.unique(sample.astype(np.float64)))
    gaps = gaps[gaps > 0.5 / LARGEST_COUNT]
    if not len(gaps):
        return None
    largest = round(1 / gaps.min())
    counts = sample.astype(np.float64) * largest
    whole = np.abs(counts - np.rint(counts)).max() < 0.01
    return (0.0, float(largest)) if whole else None


def _read(path: Path, key: str, length: int, shape: ClipShape) -> npt.NDArray[np.float32]:
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            values = file[key] if key in file.files else None
            held = " ".join(", ".join(file.files).split())  # names may hold line breaks
    except Exception as error:
        raise UserError(f"{path} cannot be read as npz (cut short or damaged?): {error}. Fetch it again.") from error
    if values is None:
        raise UserError(f"{path} lacks the key {key!r}; it holds: {held or 'nothing'}.")
    expected = (length, *shape.frame)
    if values.ndim != 5 or values.shape[1:] != expected or not len(values):
        text = ", ".join(str(size) for size in expected)
        raise UserError(f"{path}: {key} has shape {values.shape}, expected (N, {text}).")
    if not (np.isfinite(values).all() and np.abs(values).max() <= 1 + TOLERANCE):
        raise UserError(f"{path}: {key} has values from {values.min()} to {values.max()}, expected them in [-1, 1].")
    scaled: npt.NDArray[np.float32] = values.astype(np.float32)
    return scaled


def _contents(
    windows_NTCHW: npt.NDArray[np.float32],
    numbers: dict[bytes, int],
    frames: list[npt.NDArray[np.float32]],
) -> Windows:
    """Return a number per frame (N, T), equal for equal contents; append contents not met before to ``frames``."""
    found = np.empty(windows_NTCHW.shape[:2], dtype=np.int64)
    for position in np.ndindex(found.shape):
        frame = windows_NTCHW[position]
        key = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        if key not in numbers:
            numbers[key] = len(frames)
            frames.append(frame.copy())
        found[position] = numbers[key]
    return found
