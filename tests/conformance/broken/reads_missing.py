"""Declares that it leaves out missing cells, but its loss compares them too."""

from __future__ import annotations

from torch import Tensor, nn

from stbench import Progress
from tests.conformance.broken.tiny import Tiny

CAUGHT_BY = "missing_cells"


class ReadsMissing(Tiny):
    leaves_out_missing = True

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        mse = nn.functional.mse_loss(self(past), future)
        return {"loss": mse, "mse": mse}
