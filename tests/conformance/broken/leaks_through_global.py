"""Training stores the future in a global, which predictions read."""

from __future__ import annotations

from torch import Tensor

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "target_not_seen"
SEEN: dict[str, Tensor] = {}


class LeaksThroughGlobal(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        SEEN["future"] = future
        return super().training_losses(past, future, progress)

    def forward(self, past: Tensor) -> Tensor:
        hint = SEEN.get("future")
        if hint is None or hint.shape != past.shape or past.shape[1] != self.shape.t_out:
            return super().forward(past)
        return super().forward(past) + 0.1 * hint
