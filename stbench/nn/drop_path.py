"""Stochastic depth. Source: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016. Axes: B, then any."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch for random rows of the batch; the other rows are divided by 1 − rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @property
    def active(self) -> bool:
        """True in training at a rate above 0."""
        return self.training and self.rate > 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Drop rows of ``x``, same shape; the identity in evaluation mode or at rate 0."""
        return x * self._kept(x) if self.active else x

    def add(self, x: Tensor, branch: Tensor, gamma: Tensor | None = None) -> Tensor:
        """Return ``x + DropPath(gamma · branch)``, computed in one pass over memory.

        Args:
            x, branch: (B, …), of one shape.
            gamma: layer scale, broadcastable to ``x``; None for 1.
        """
        if self.active:
            kept = self._kept(branch)
            gamma = kept if gamma is None else gamma * kept
        return x + branch if gamma is None else torch.addcmul(x, branch, gamma)

    def _kept(self, x: Tensor) -> Tensor:
        """Draw 0 or 1/(1 − rate) per row, (B, 1, …)."""
        keep = 1.0 - self.rate
        return (self._draw(x) < keep).to(x.dtype) / keep

    def _draw(self, x: Tensor) -> Tensor:
        """A uniform number per row, (B, 1, …)."""
        return torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device)
