"""Frames held in memory, for windowed splits without files."""

from dataclasses import dataclass

import numpy as np

from stbench.data.formats.recording import NO_TIME
from stbench.data.splits.windowed_split import WindowedSplit
from stbench.schema import Scaling


@dataclass(frozen=True)
class HeldFrames:
    """What a frame cache gives: frames (F, C, H, W) and the seconds at which they were taken."""

    frames: np.ndarray
    seconds: np.ndarray


def windowed(frames_FCHW: np.ndarray, windows_NT: np.ndarray, seconds_F: np.ndarray | None = None) -> WindowedSplit:
    """A split whose clips are the frames as they are."""
    seconds = np.full(len(frames_FCHW), NO_TIME) if seconds_F is None else seconds_F
    return WindowedSplit(HeldFrames(frames_FCHW, seconds), windows_NT, Scaling())
