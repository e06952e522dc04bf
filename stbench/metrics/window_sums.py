"""Structural similarity of batches of frames, equal to scikit-image's (7×7 uniform window, sample covariance).

Axes: F frames (planes of one channel), H height, W width.

With u = x + y, v = x − y and N = 49 pixels per window, the index of Wang et al. (2004, eq. 13) becomes

    S = (Su² − Sv² + k1) (Pu − Pv + k2) / ((Su² + Sv² + k1) (Pu + Pv + k2))
    Su = Σu,   Pu = N Σu² − Su²,   k1 = 2 (0.01 R)² N²,   k2 = 2 (0.03 R)² N (N−1)

so only the window sums of u, v, u², v² are needed. They are always float64: Pu and Pv cancel on nearly constant
windows, where float32 (scikit-image's choice for float32 frames) loses the sixth digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.ssim import WINDOW

Array = Any
"""A numpy array (for frames on the CPU, with single-threaded loops that are cheap to call) or a torch tensor."""

_BORDER = WINDOW - 1
_N = WINDOW * WINDOW


def check_window(height: int, width: int) -> None:
    """Raise :class:`UserError` for frames smaller than the window."""
    if min(height, width) < WINDOW:
        raise UserError(
            f"SSIM needs frames of at least {WINDOW}×{WINDOW} pixels, these are {height}×{width}. "
            "Leave ssim out of the metrics."
        )


class WindowSums:
    """Sums of u, v, u² and v² over every 7×7 window of F pairs of frames, u = x + y, v = x − y.

    The rows of all frames are adjacent in memory, so that every operation runs over one long stretch. Windows that wrap
    into the next frame lie in the last six columns, which are cut off at the end.

    Args:
        x_HFW: float64 frames of at least 7×7, row by row.
        y_HFW: frames to compare with, same shape.
        workspace: (3, 4, H·F·W) float64 scratch memory; its last part may hold the frames themselves.
    """

    def __init__(self, x_HFW: Array, y_HFW: Array, workspace: Array) -> None:
        self._xp: Any = torch if isinstance(x_HFW, Tensor) else np
        height, frames, width = x_HFW.shape
        one, two, three = workspace
        self._xp.add(x_HFW.reshape(-1), y_HFW.reshape(-1), out=one[0])
        self._xp.subtract(x_HFW.reshape(-1), y_HFW.reshape(-1), out=one[1])
        self._xp.multiply(one[:2], one[:2], out=one[2:])
        self.squared_difference: Array = one[3].reshape(height, frames, width).sum(0).sum(1)
        """Σ(x−y)² of each frame, (F,)."""
        size = (height - _BORDER) * frames * width
        self._sum_seven(one, pairs=two, out=three, step=frames * width)
        self._sum_seven(three[:, :size], pairs=one, out=two, step=1)
        self._sums, *self._scratch = two[:, :size], one[:, :size], three[:, :size]
        self._shape = (height - _BORDER, frames, width)

    def _sum_seven(self, values: Array, *, pairs: Array, out: Array, step: int) -> None:
        """Compute out[i] = Σ values[i + k·step], k = 0 … 6, along the last axis; the last 6·step entries are undefined.

        Sums of two, sums of four, and 4 + 2 + 1 take four additions in place of six.
        """
        size = values.shape[-1]
        twos, fours, sevens = size - step, size - 3 * step, size - 6 * step
        self._xp.add(values[:, :twos], values[:, step:], out=pairs[:, :twos])
        self._xp.add(pairs[:, :fours], pairs[:, 2 * step : 2 * step + fours], out=out[:, :fours])
        total = out[:, :sevens]
        total += pairs[:, 4 * step : 4 * step + sevens]
        total += values[:, 6 * step :]

    def ssim(self, data_range: float) -> Array:
        """Return the mean structural similarity of each frame, (F,) float64; NaN for frames with a NaN."""
        first, second = self._scratch
        level, spread, numerator, denominator = first[:2], first[2:], second[:2], second[2:]
        self._xp.multiply(self._sums[:2], self._sums[:2], out=level)
        self._xp.multiply(self._sums[2:], _N, out=spread)
        spread -= level
        level[0] += 2 * (0.01 * data_range) ** 2 * _N * _N
        spread[0] += 2 * (0.03 * data_range) ** 2 * _N * (_N - 1)
        for index, (of_u, of_v) in enumerate((level, spread)):
            self._xp.subtract(of_u, of_v, out=numerator[index])
            self._xp.add(of_u, of_v, out=denominator[index])
        similarity, normaliser = numerator[0], denominator[0]
        similarity *= numerator[1]
        normaliser *= denominator[1]
        similarity /= normaliser
        rows, _, width = self._shape
        columns = width - _BORDER
        return similarity.reshape(self._shape).sum(0)[:, :columns].sum(1) / (rows * columns)
