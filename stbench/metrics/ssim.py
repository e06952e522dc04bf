"""Structural similarity of many frames at once, equal to scikit-image's (7×7 uniform window, sample covariance).

Axes: F frames, H height, W width.

With u = x + y, v = x − y and N = 49 pixels per window, the index of Wang et al. (2004, eq. 13) becomes

    S = (Su² − Sv² + k1) (Pu − Pv + k2) / ((Su² + Sv² + k1) (Pu + Pv + k2))
    Su = Σu,   Pu = N Σu² − Su²,   k1 = 2 (0.01 R)² N²,   k2 = 2 (0.03 R)² N (N−1)

so that the window sums of u, v, u², v² are enough. They are float64, whatever the frames are: Pu and Pv cancel on
nearly constant windows, where float32 (scikit-image's own choice for float32 frames) loses the sixth digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError

Array = Any
"""A numpy array (frames on the CPU, whose loops are single-threaded and cheap to call) or a torch tensor."""

WINDOW = 7
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

    Args:
        x_FHW: float64 frames of at least 7×7.
        y_FHW: frames to compare with, same shape.
        workspace: scratch from :meth:`workspace` for F frames or more; its content is overwritten.
    """

    def __init__(self, x_FHW: Array, y_FHW: Array, workspace: Array) -> None:
        self._xp: Any = torch if isinstance(x_FHW, Tensor) else np
        frames, height, width = x_FHW.shape
        rows = height - _BORDER
        one, two, three = workspace[:, :, :frames]
        x, y = x_FHW.reshape(frames, -1), y_FHW.reshape(frames, -1)
        self._xp.add(x, y, out=one[0])
        self._xp.subtract(x, y, out=one[1])
        self._xp.multiply(one[:2], one[:2], out=one[2:])
        self.squared_difference: Array = one[3].sum(1)
        """Σ(x−y)² of each frame, (F,)."""
        self._sum_seven(one, pairs=two, out=three, step=width)
        self._sum_seven(three[..., : rows * width], pairs=one, out=two, step=1)
        self._sums, *self._scratch = (
            buffer[..., : rows * width].reshape(4, frames, rows, width) for buffer in (two, one, three)
        )

    @staticmethod
    def workspace(like_FHW: Array) -> Array:
        """Scratch for frames of this number, size and device: (3, 4, F, H·W) float64."""
        frames, height, width = like_FHW.shape
        shape = (3, 4, frames, height * width)
        return like_FHW.new_empty(shape, dtype=torch.float64) if isinstance(like_FHW, Tensor) else np.empty(shape)

    def _sum_seven(self, values: Array, *, pairs: Array, out: Array, step: int) -> None:
        """out[i] = Σ values[i + k·step], k = 0 … 6, along the last axis; its last 6·step entries mean nothing.

        Summing ones to twos, twos to fours, and 4 + 2 + 1 takes four additions in place of six. Rows are run
        together: long one-dimensional operations are fast, and a window that wraps lies in columns cut off later.
        """
        size = values.shape[-1]
        twos, fours, sevens = size - step, size - 3 * step, size - 6 * step
        self._xp.add(values[..., :twos], values[..., step:], out=pairs[..., :twos])
        self._xp.add(pairs[..., :fours], pairs[..., 2 * step : 2 * step + fours], out=out[..., :fours])
        total = out[..., :sevens]
        total += pairs[..., 4 * step : 4 * step + sevens]
        total += values[..., 6 * step :]

    def ssim(self, data_range: float) -> Array:
        """Mean structural similarity of each frame, (F,) float64; NaN for a frame that holds one."""
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
        return similarity[..., :-_BORDER].mean((1, 2))
