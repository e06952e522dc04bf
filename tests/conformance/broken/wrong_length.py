"""Always T_in frames, whatever T_out is."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "lengths"


class WrongLength(Tiny):
    def forward(self, past: Tensor) -> Tensor:
        return self.predict_block(past)
