"""The past is clipped in place."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "inputs_untouched"


class ChangesInput(Tiny):
    def forward(self, past: Tensor) -> Tensor:
        return super().forward(past.clamp_(0.2, 0.8))
