"""Space-to-depth of the ConvLSTM family: a p×p patch becomes channels, ordered by row, column, channel."""

from __future__ import annotations

from torch import Tensor


def space_to_depth(x: Tensor, patch: int) -> Tensor:
    """Map (N, C, H, W) to (N, p·p·C, H/p, W/p), channel index (row·p + column)·C + channel."""
    if patch == 1:
        return x
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // patch, patch, w // patch, patch)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, patch * patch * c, h // patch, w // patch)


def depth_to_space(x: Tensor, patch: int) -> Tensor:
    """Invert :func:`space_to_depth`: (N, p·p·C, H/p, W/p) -> (N, C, H, W)."""
    if patch == 1:
        return x
    n, pc, h, w = x.shape
    c = pc // (patch * patch)
    x = x.reshape(n, patch, patch, c, h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, c, h * patch, w * patch)
