"""Recorded test clips, the same for every method, as grey or colour frames.

Axes: K clips, T time, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.report.analysis.table import Row, Table

Array = NDArray[Any]


@dataclass(frozen=True)
class Clips:
    """Past and future frames (K, T, C, H, W), their numbers in the split (K,), and the prediction of every row.

    ``low`` and ``high``: values shown as black and white.
    """

    index: Array
    past: Array
    future: Array
    predictions: dict[str, Array]
    rows: dict[str, Row]
    low: float
    high: float


def shared_clips(table: Table) -> Clips | None:
    """Return the clips of each row's first finished seed, without rows that have other clips, or None."""
    found = [(row, row.finished[0].samples()) for row in table.rows if row.finished]
    kept = [(row, arrays) for row, arrays in found if {"index", "past", "future", "prediction"} <= set(arrays)]
    if not kept:
        return None
    first = kept[0][1]
    same = [
        (row, arrays)
        for row, arrays in kept
        if np.array_equal(arrays["index"], first["index"])
        and np.array_equal(arrays["future"], first["future"], equal_nan=True)
    ]
    low, high = table.spec.value_range or (
        float(np.nanmin(first["future"])),
        float(np.nanmax(first["future"])),
    )
    brightest = float(max(np.nanmax(first["past"]), np.nanmax(first["future"])))
    return Clips(
        first["index"],
        first["past"],
        first["future"],
        {row.label: arrays["prediction"] for row, arrays in same},
        {row.label: row for row, _ in same},
        low,
        min(high, brightest) if brightest > low else high,
    )


def to_image(frame_CHW: Array, low: float, high: float) -> NDArray[np.uint8]:
    """Convert a frame to 8-bit values: (H, W, 3) for three channels, else channels side by side, (H, C·W).

    A missing cell is black.
    """
    scaled = np.nan_to_num((frame_CHW - low) / max(high - low, 1e-12)).clip(0, 1)
    bytes_CHW = np.rint(255 * scaled).astype(np.uint8)
    return np.moveaxis(bytes_CHW, 0, -1) if len(bytes_CHW) == 3 else np.concatenate(list(bytes_CHW), axis=1)


def to_error(prediction_CHW: Array, truth_CHW: Array) -> Array:
    """Return the absolute error: averaged over three channels, else side by side as in :func:`to_image`."""
    error = abs(prediction_CHW - truth_CHW)
    return np.asarray(error.mean(axis=0) if len(error) == 3 else np.concatenate(list(error), axis=1))
