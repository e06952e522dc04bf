"""The future stays on the module and changes the next prediction."""

from __future__ import annotations

from torch import Tensor

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "target_not_seen"
ALSO = {"state_dict_round_trip", "overfits_one_batch"}


class LeaksThroughModule(Tiny):
    hint = 0.0

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        losses = super().training_losses(past, future, progress)
        self.hint = float(future.mean())
        return losses

    def forward(self, past: Tensor) -> Tensor:
        future = super().forward(past)
        return future if self.training else future + self.hint
