"""Climatology: every future frame is the training set's mean frame; the no-skill baseline of forecasting."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from stbench.nn import Method, MethodConfig
from stbench.schema import ClipShape


class Climatology(Method):
    """Repeats the mean of all training frames, which :meth:`fit` measures; not-a-number until then."""

    summary = "every future frame is the training set's mean frame"
    mean: Tensor

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.register_buffer("mean", torch.full(shape.frame, torch.nan))

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Measure the mean frame over batches (B, T, C, H, W), summed in float64; every frame of a clip counts."""
        total = torch.zeros(self.shape.frame, dtype=torch.float64, device=self.mean.device)
        frames = 0
        for clip in clips:
            total += clip.to(self.mean.device, torch.float64).sum(dim=(0, 1))
            frames += clip.shape[0] * clip.shape[1]
        self.mean.copy_(total / frames)

    def forward(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> (B, T_out, C, H, W)."""
        return self.mean.to(past.dtype).repeat(past.shape[0], self.shape.t_out, 1, 1, 1)
