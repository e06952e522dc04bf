"""Eval mode leaves out what training builds up."""

from __future__ import annotations

from tiny import Tiny
from torch import Tensor

CAUGHT_BY = "overfits_one_batch"


class LearnsNothing(Tiny):
    def one_pass(self, past: Tensor) -> Tensor:
        return super().one_pass(past) if self.training else past.flip(1)
