"""Haar wavelets of clips and of frames. Axes: B, C, T, H, W."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SCALE_3D = 2**-1.5
SCALE_2D = 0.5


def analyse(x: Tensor) -> Tensor:
    """Compute the 3-D Haar analysis of every 2×2×2 cell; odd axes are zero-padded at the end.

    Args:
        x: (B, C, T, H, W).

    Returns:
        (B, 8, C, ⌈T/2⌉, ⌈H/2⌉, ⌈W/2⌉), the bands LLL, LLH, LHL, LHH, HLL, HLH, HHL, HHH; the letters stand for
        time, height, width.
    """
    for dim in (-1, -2, -3):
        first, second = _pairs(x, dim)
        x = torch.stack([first + second, first - second], dim=1)
    return x.flatten(1, 3) * SCALE_3D


def synthesise(bands: Tensor) -> Tensor:
    """Invert :func:`analyse`: (B, 8, C, T', H', W') -> (B, C, 2T', 2H', 2W')."""
    x = bands.view(len(bands), 2, 2, 2, *bands.shape[2:])
    for dim in (-3, -2, -1):
        low, high = x.unbind(1)
        x = torch.stack([low + high, low - high], dim=dim).flatten(dim - 1, dim)
    return torch.mul(x, SCALE_3D)


def low_band(x: Tensor) -> Tensor:
    """Return band LL of the 2-D Haar analysis, half the sum of every 2×2 cell: (…, H, W) -> (…, ⌈H/2⌉, ⌈W/2⌉)."""
    for dim in (-2, -1):
        first, second = _pairs(x, dim)
        x = first + second
    return x * SCALE_2D


def _pairs(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the even and the odd entries along one of the last three axes, zero-padded to an even number."""
    if x.shape[dim] % 2:
        x = F.pad(x, [0, 0] * (-dim - 1) + [0, 1])
    first, second = x.unflatten(dim, (-1, 2)).unbind(dim)  # type: ignore[no-untyped-call]
    return first, second
