"""BatchNorm uses the statistics of the batch also in evaluation mode."""

from __future__ import annotations

from torch import Tensor, nn

from stbench import ClipShape
from stbench.nn import MethodConfig
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "batch_independence"


class BatchStatistics(Tiny):
    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.norm = nn.BatchNorm2d(shape.t_in * shape.channels, track_running_stats=False)

    def predict_block(self, past: Tensor) -> Tensor:
        return super().predict_block(self.norm(past.flatten(1, 2)).unflatten(1, past.shape[1:3]))
