"""A layer that forward never uses."""

from __future__ import annotations

from torch import nn

from stbench import ClipShape
from stbench.nn import MethodConfig
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "gradients"
ALSO = {"data_parallel"}


class DeadParameters(Tiny):
    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.forgotten = nn.Conv2d(32, 32, 3)
