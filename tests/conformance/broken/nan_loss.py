"""A regulariser that divides zero by zero."""

from __future__ import annotations

from torch import Tensor

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "losses"
ALSO = {"autocast"}


class NaNLoss(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        losses = super().training_losses(past, future, progress)
        still = (past[:, 0] - past[:, 0]).abs().sum()
        return {**losses, "loss": losses["mse"] + still / still}
