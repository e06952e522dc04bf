"""Eval mode leaves out what training builds up."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "overfits_one_batch"


class LearnsNothing(Tiny):
    def one_pass(self, past: Tensor) -> Tensor:
        return super().one_pass(past) if self.training else past.flip(1)
