"""Motion matrices: similarity between the positions of two frames, used to move past features into the future.

Axes: B, T past frames, U future frames, C, h, w (P = h·w positions, row by row); i in the earlier frame, j in the
later.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6


def similarity(g_BTCP: Tensor) -> Tensor:
    """Return the cosine of each position with each position of the next frame: (B, T, C, P) -> (B, T−1, P, P)."""
    unit = g_BTCP / (g_BTCP.norm(dim=2, keepdim=True) + EPS)
    return torch.matmul(unit[:, :-1].mT, unit[:, 1:])


def resize(matrices_BUPP: Tensor, high: tuple[int, int], low: tuple[int, int]) -> Tensor:
    """Resize matrices to a coarser grid: bilinearly along j, then bicubically along i."""
    batch, future = matrices_BUPP.shape[:2]
    targets = matrices_BUPP.reshape(-1, 1, *high)
    targets = F.interpolate(targets, low, mode="bilinear", align_corners=False)
    sources = targets.reshape(batch * future, high[0] * high[1], -1).mT.reshape(-1, 1, *high)
    sources = F.interpolate(sources, low, mode="bicubic", align_corners=False)
    return sources.reshape(batch, future, low[0] * low[1], -1).mT


def normalise(matrices: Tensor) -> Tensor:
    """Apply one softmax over all entries of each matrix (…, P, P)."""
    return matrices.flatten(-2).softmax(-1).view_as(matrices)


def compose(features_BTCP: Tensor, past: Tensor, future: Tensor) -> Tensor:
    """Return each future frame as a mean of past features, weighted by the product of the matrices between them.

    The products S_t ⋯ S_{T−2} Ŝ are never formed: each matrix is applied to the features, the oldest frame first.

    Args:
        features_BTCP: (B, T, C, P).
        past: S_t, (B, T−1, P, P), normalised.
        future: Ŝ from the last past frame, (B, U, P, P), normalised.

    Returns:
        (B, U, C, P).
    """
    weighed = torch.cat([features_BTCP, torch.ones_like(features_BTCP[:, :, :1])], dim=2)
    carried = weighed[:, 0]
    for t in range(1, weighed.shape[1]):
        carried = weighed[:, t] + carried @ past[:, t - 1]
    total = carried[:, None].expand(-1, future.shape[1], -1, -1) @ future
    return total[:, :, :-1] / (total[:, :, -1:] + EPS)
