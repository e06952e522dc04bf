"""The first sample's hour changes every sample of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "dates"


class OneClock(Tiny):
    def predict_at(self, past: Tensor, times: Tensor | None) -> Tensor:
        if times is None:
            return self(past)
        return self(past) + 0.1 * torch.sin(times[0, self.shape.t_in :, None, None, None] / 100)
