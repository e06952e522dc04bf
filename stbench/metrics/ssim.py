"""Structural similarity of many frames at once, equal to scikit-image's (7×7 uniform window, sample covariance).

Axes: F frames, H height, W width.

With N = 49 pixels per window and the sums Sx, Sy, Sq = Σ(x²+y²), Sp = Σxy, the index of Wang et al. (2004, eq. 13) is

    S = 4 (Sx·Sy + c1) (N·Sp − Sx·Sy + c2) / ((Sx²+Sy² + 2c1) (N·Sq − Sx²−Sy² + 2c2))
    c1 = (0.01 R)² N² / 2,   c2 = (0.03 R)² N (N−1) / 2

so that four window sums are enough. They are kept in float64: the differences cancel on nearly constant windows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stbench.errors import UserError

WINDOW = 7
_BORDER = WINDOW - 1
_N = WINDOW * WINDOW


def window_sums(x_FHW: Tensor, y_FHW: Tensor) -> Tensor:
    """Sums of x, y, x²+y² and xy over every 7×7 window.

    Args:
        x_FHW: frames, any floating type.
        y_FHW: frames to compare with, same shape.

    Returns:
        (4, F, H, W) float64; the entry at (h, w) belongs to the window with that upper left corner. The last six rows
        and columns have no window and hold no meaning.

    Raises:
        UserError: frames smaller than the window.
    """
    frames, height, width = x_FHW.shape
    if min(height, width) < WINDOW:
        raise UserError(
            f"SSIM needs frames of at least {WINDOW}×{WINDOW} pixels, these are {height}×{width}. "
            "Leave ssim out of the metrics."
        )
    maps = x_FHW.new_empty((3, 4 * frames * height * width), dtype=torch.float64)
    x, y, squares, product = maps[0].view(4, frames, height, width)
    x.copy_(x_FHW)
    y.copy_(y_FHW)
    torch.mul(x, x, out=squares).addcmul_(y, y)
    torch.mul(x, y, out=product)
    _sum_seven(maps[0], half=maps[1], out=maps[2], step=width)
    _sum_seven(maps[2], half=maps[0], out=maps[1], step=1)
    return maps[1].view(4, frames, height, width)


def _sum_seven(values: Tensor, *, half: Tensor, out: Tensor, step: int) -> None:
    """out[i] = Σ values[i + k·step], k = 0 … 6, as pairs, then fours (1-D; the last 6·step entries stay unset).

    Rows and frames are run together: a window that would wrap belongs to the border that is cropped, and long
    one-dimensional operations are what the machine does fastest.
    """
    size = values.numel()
    pairs, fours, sevens = size - step, size - 3 * step, size - 6 * step
    torch.add(values[:pairs], values[step:], out=half[:pairs])
    torch.add(half[:fours], half[2 * step : 2 * step + fours], out=out[:fours])
    out[:sevens].add_(half[4 * step : 4 * step + sevens]).add_(values[6 * step :])


def ssim_from_sums(sums_4FHW: Tensor, data_range: float) -> Tensor:
    """Mean structural similarity of each frame, (F,) float64, from :func:`window_sums`."""
    sum_x, sum_y, sum_squares, sum_product = sums_4FHW.unbind()
    c1 = (0.01 * data_range) ** 2 * _N * _N / 2
    c2 = (0.03 * data_range) ** 2 * _N * (_N - 1) / 2
    product = sum_x * sum_y
    squares = (sum_x * sum_x).addcmul_(sum_y, sum_y)
    covariance = torch.mul(sum_product, _N).sub_(product).add_(c2)
    variances = torch.mul(sum_squares, _N).sub_(squares).add_(2 * c2)
    similarity = product.add_(c1).mul_(covariance).div_(squares.add_(2 * c1).mul_(variances))
    return 4 * similarity[:, :-_BORDER, :-_BORDER].mean((1, 2))


def ssim(pred_FCHW: Tensor, true_FCHW: Tensor, data_range: float) -> Tensor:
    """Structural similarity of each frame, channels averaged, (F,) float64; frames are taken as they are (no clipping).

    A frame that holds a NaN gives NaN, the others are untouched.

    Raises:
        UserError: frames smaller than 7×7.
    """
    frames, channels = pred_FCHW.shape[:2]
    sums = window_sums(pred_FCHW.flatten(0, 1), true_FCHW.flatten(0, 1))
    return ssim_from_sums(sums, data_range).view(frames, channels).mean(1)
