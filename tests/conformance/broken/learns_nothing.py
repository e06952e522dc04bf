"""Evaluation mode does not use what was trained."""

from __future__ import annotations

from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "overfits_one_batch"


class LearnsNothing(Tiny):
    def predict_block(self, past: Tensor) -> Tensor:
        return super().predict_block(past) if self.training else past.flip(1)
