"""WaST's high focal frequency loss (Nie et al., AAAI 2024, §3.4). Axes: B, T, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor

from .wavelets import low_band


def high_focal_frequency_loss(
    pred: Tensor, true: Tensor, *, alpha: float = 1.0, tau: float = 0.1, levels: int = 1
) -> Tensor:
    """Return the squared spectral error of the low wavelet band, without the lowest frequencies and weighted by size.

    D is the orthonormal spectrum of the low band's error. The loss is the mean of ω⊙|D|² over all bins, with bins near
    a corner of the spectrum set to 0. The weight ω is log(1+|D|^α) divided by its maximum in the frame, without
    gradient.

    Args:
        pred, true: (B, T, C, H, W).
        alpha: exponent; larger values weight large errors more.
        tau: distance from a corner up to which bins are set to 0, as a fraction of the longer side.
        levels: number of wavelet levels to sum; each uses the low band of the previous one.

    Returns:
        A scalar.
    """
    error, total = pred - true, pred.new_zeros(())
    for _ in range(levels):
        error = low_band(error)
        spectrum = torch.view_as_real(torch.fft.fft2(error, norm="ortho"))
        power = spectrum.square().sum(-1)
        focus = torch.log1p(power.detach().sqrt() ** alpha)
        focus = (focus / focus.amax((-2, -1), keepdim=True)).nan_to_num(nan=0.0).clamp(0.0, 1.0)  # NaN: a frame of 0
        weight = focus * _far_from_corners(power, tau)
        total = total + (weight * power).mean()
    return total


def _far_from_corners(like: Tensor, tau: float) -> Tensor:
    """Return 1 for bins farther than τ·max(h, w) from every corner, else 0; compared in float32."""
    height, width = like.shape[-2:]
    rows, columns = (torch.arange(side, dtype=torch.float32, device=like.device) for side in (height, width))
    rows, columns = torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns)
    distance = (rows[:, None].square() + columns.square()).sqrt()
    return (distance > tau * max(height, width)).to(like.dtype)
