"""Gridded flow in an npz without dates: ``flow`` (T, H, W, C), in time order and without a gap."""

from __future__ import annotations

import zipfile
import zlib
from datetime import date
from pathlib import Path

import numpy as np

from stbench.data.readers.traffic.flow_file import FlowFile, Frames
from stbench.errors import UserError

KEY = "flow"


def read_flow_npz(path: Path, frame: tuple[int, int, int], slots_per_day: int, first_day: date) -> FlowFile:
    """Read one file; its first frame is the first slot of ``first_day``.

    Raises:
        UserError: the file cannot be read, lacks the key, or holds another frame size or values that are not finite.
    """
    frames = _read(path)
    channels, height, width = frame
    if frames.ndim != 4 or frames.shape[1:] != (height, width, channels):
        raise UserError(f"{path}: {KEY!r} has shape {frames.shape}, expected (T, {height}, {width}, {channels}).")
    finite = np.isfinite(frames).all(axis=(1, 2, 3))
    if not finite.all():
        raise UserError(f"{path}: frame {int(np.argmin(finite))} of {KEY!r} holds NaN or infinity.")
    start = (first_day - date(1970, 1, 1)).days * slots_per_day
    slots = start + np.arange(len(frames), dtype=np.int64)
    return FlowFile(path, np.ascontiguousarray(frames.transpose(0, 3, 1, 2)), slots, rows_read=len(frames))


def _read(path: Path) -> Frames:
    try:
        with np.load(path, allow_pickle=False) as file:
            if KEY not in file.files:
                raise UserError(f"{path} lacks the key {KEY!r}; it holds: {', '.join(file.files) or 'nothing'}.")
            frames: Frames = file[KEY].astype(np.float32)
    except UserError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read as npz (cut short or damaged?): {error}. Fetch it again.") from error
    return frames
