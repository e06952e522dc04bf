"""A small correct method, from which each broken one differs in one place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench import ClipShape
from stbench.nn import MethodConfig, ParallelForecaster


class Tiny(ParallelForecaster):
    """The last frame plus what three convolutions make of all past frames."""

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        width = shape.t_in * shape.channels
        self.enter = nn.Conv2d(width, 32, 3, padding=1)
        self.middle = nn.Conv2d(32, 32, 3, padding=1)
        self.leave = nn.Conv2d(32, width, 3, padding=1)

    def predict_block(self, past: Tensor) -> Tensor:
        hidden = torch.relu(self.enter(past.flatten(1, 2)))
        change = self.leave(torch.relu(self.middle(hidden)))
        return past[:, -1:] + change.unflatten(1, past.shape[1:3])
