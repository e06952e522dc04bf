"""Initial weights come from numpy's generator, which a run does not seed."""

from __future__ import annotations

import numpy as np
import torch

from stbench import ClipShape
from stbench.nn import MethodConfig
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "seed_determinism"
ALSO = {"data_parallel"}


class NotDeterministic(Tiny):
    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        draws = np.random.default_rng().normal(0, 0.05, self.leave.weight.shape)
        self.leave.weight.data = torch.from_numpy(draws).float()
