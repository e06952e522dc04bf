"""The last batch's frames stay on the module, so a different batch size fails."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "no_carried_state"
ALSO = {"batch_independence"}


class KeepsFrames(Tiny):
    before: Tensor | None = None

    def forward(self, past: Tensor) -> Tensor:
        start = past[:, -1] if self.before is None else self.before
        self.before = past[:, -1].detach()
        return super().forward(past) + 0.01 * start[:, None]
