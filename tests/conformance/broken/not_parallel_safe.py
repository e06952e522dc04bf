"""Each process uses a random one of two layers, so their gradients do not match."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench import ClipShape, Progress
from stbench.nn import MethodConfig
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "data_parallel"


class NotParallelSafe(Tiny):
    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.early = nn.Conv2d(shape.channels, shape.channels, 1)
        self.late = nn.Conv2d(shape.channels, shape.channels, 1)

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        layer = self.early if progress.epoch < progress.total_epochs // 2 else self.late
        losses = super().training_losses(past, future, progress)
        extra = layer(past[:, -1]).sub(future[:, 0]).square().mean()
        return {**losses, "loss": losses["mse"] + 0.1 * torch.log1p(extra), "extra": extra}
