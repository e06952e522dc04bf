"""The loss is a sum over the batch: halves of a batch do not average to the whole."""

from __future__ import annotations

from torch import Tensor

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "data_parallel"


class SumsOverBatch(Tiny):
    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        error = (self(past) - future).square().mean(dim=(1, 2, 3, 4)).sum()
        return {"loss": error, "mse_sum": error}
