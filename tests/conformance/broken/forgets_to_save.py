"""A random mask that is neither a parameter nor a buffer."""

from __future__ import annotations

import torch
from torch import Tensor

from stbench import ClipShape
from stbench.nn import MethodConfig
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "state_dict_round_trip"


class ForgetsToSave(Tiny):
    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.mask = torch.rand(shape.channels, 1, 1)

    def predict_block(self, past: Tensor) -> Tensor:
        return super().predict_block(past * self.mask)
