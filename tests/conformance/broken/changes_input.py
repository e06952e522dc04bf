"""The past is clipped in place, for whoever uses it next."""

from __future__ import annotations

from tiny import Tiny
from torch import Tensor

CAUGHT_BY = "inputs_untouched"


class ChangesInput(Tiny):
    def forward(self, past: Tensor) -> Tensor:
        return super().forward(past.clamp_(0.2, 0.8))
