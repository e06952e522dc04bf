"""Tiny ``dataset.npz``: overlapping windows of one series in [-1, 1], the last ones as test."""

from pathlib import Path

import numpy as np
from tests_flow_layout import BASE, frame

FRAMES = 160
TEST = 30
LENGTH = 4


def write(folder: Path, size: tuple[int, int, int]) -> np.ndarray:
    """Write the file; return the counts (T, C, H, W) it was made of, 0 and 64 among them."""
    counts = np.stack([frame(number, size) for number in range(FRAMES)])
    counts[0, -1, -1, -2:] = 0, BASE
    scaled = counts / BASE * 2 - 1
    starts = range(FRAMES - 2 * LENGTH + 1)
    past = np.stack([scaled[start : start + LENGTH] for start in starts])
    future = np.stack([scaled[start + LENGTH : start + 2 * LENGTH] for start in starts])
    np.savez(
        folder / "dataset.npz",
        X_train=past[:-TEST],
        Y_train=future[:-TEST],
        X_test=past[-TEST:],
        Y_test=future[-TEST:],
    )
    return counts
