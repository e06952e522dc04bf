"""A blend of a float32 and an autocast tensor, which lerp does not take."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "autocast"


class Float32Only(Tiny):
    def predict_block(self, past: Tensor) -> Tensor:
        hidden = torch.relu(self.middle(torch.relu(self.enter(past.flatten(1, 2)))))
        return torch.lerp(past, self.leave(hidden).unflatten(1, past.shape[1:3]), 0.5)
