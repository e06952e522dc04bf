"""WaST's high focal frequency loss (Nie et al., AAAI 2024, §3.4). Axes: B, T, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor

from .wavelets import low_band


def high_focal_frequency_loss(
    pred: Tensor, true: Tensor, *, alpha: float = 1.0, tau: float = 0.1, levels: int = 1
) -> Tensor:
    """Squared spectral error of the low wavelet band, without its lowest frequencies, weighted by its own size.

    With D the orthonormal spectrum of the low band's error, ω = log(1+|D|^α) over its largest value in the frame
    (constant to the gradient), this is the mean of ω⊙|D|² over all bins, those near a corner of the spectrum set to 0.

    Args:
        pred, true: (B, T, C, H, W).
        alpha: how much large errors weigh.
        tau: distance from a corner, as a share of the longer side, up to which bins are set to 0.
        levels: wavelet levels that are added up; each works on the low band of the one before.

    Returns:
        A scalar.
    """
    error, total = pred - true, pred.new_zeros(())
    for _ in range(levels):
        error = low_band(error)
        spectrum = torch.view_as_real(torch.fft.fft2(error, norm="ortho"))
        power = spectrum.square().sum(-1)
        weight = _focus(power.detach(), alpha) * _far_from_corners(power, tau)
        total = total + (weight * power).mean()
    return total


def _focus(power: Tensor, alpha: float) -> Tensor:
    """Log(1+|D|^α) over its largest value in the frame; 0 where the whole frame is 0."""
    weight = torch.log1p(power.sqrt() ** alpha)
    return (weight / weight.amax((-2, -1), keepdim=True)).nan_to_num(nan=0.0).clamp(0.0, 1.0)


def _far_from_corners(like: Tensor, tau: float) -> Tensor:
    """1 where a bin is farther than τ·max(h, w) from every corner, else 0; compared in float32."""
    height, width = like.shape[-2:]
    rows, columns = (torch.arange(side, dtype=torch.float32, device=like.device) for side in (height, width))
    rows, columns = torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns)
    distance = (rows[:, None].square() + columns.square()).sqrt()
    return (distance > tau * max(height, width)).to(like.dtype)
