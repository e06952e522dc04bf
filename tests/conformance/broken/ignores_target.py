"""The loss compares the prediction with the past."""

from __future__ import annotations

from torch import Tensor, nn

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "loss_depends_on_target"
ALSO = {"overfits_one_batch"}


class IgnoresTarget(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        mse = nn.functional.mse_loss(self(past), past.mean(1, keepdim=True).expand_as(future).roll(8, dims=-1))
        return {"loss": mse, "mse": mse}
