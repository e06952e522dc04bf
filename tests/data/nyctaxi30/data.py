"""Tiny NYC-Taxi: two npz files, ``flow`` (T, H, W, 2), the first half hours of each of its days."""

from pathlib import Path

import numpy as np
from tests_flow_layout import frame

NAMES = ["NYTaxi_flow_train_B.npz", "NYTaxi_flow_test_B.npz"]
LENGTHS = 96, 48


def write(folder: Path, size: tuple[int, int, int]) -> None:
    """Frames carry their numbers, 0 … in the first file and 1000 … in the second."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, first, length in zip(NAMES, (0, 1000), LENGTHS, strict=True):
        counts = np.stack([frame(first + number, size) for number in range(length)])
        np.savez(folder / name, flow=counts.transpose(0, 2, 3, 1))
