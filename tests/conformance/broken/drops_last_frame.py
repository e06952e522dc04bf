"""An index that is off by one keeps the last future frame out of the loss."""

from __future__ import annotations

from torch import Tensor, nn

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "loss_depends_on_target"
ALSO = {"overfits_one_batch"}


class DropsLastFrame(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        mse = nn.functional.mse_loss(self(past)[:, :-1], future[:, :-1])
        return {"loss": mse, "mse": mse}
