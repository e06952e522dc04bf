"""A regulariser that divides zero by zero."""

from __future__ import annotations

from tiny import Tiny
from torch import Tensor

from stbench import Progress

CAUGHT_BY = "losses"
ALSO = {"autocast"}


class NaNLoss(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        losses = super().training_losses(past, future, progress)
        still = (past[:, 0] - past[:, 0]).abs().sum()
        return {**losses, "loss": losses["mse"] + still / still}
