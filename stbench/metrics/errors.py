"""Errors in model space: sums over a frame (the field's table unit) and means over its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stbench.metrics.metric import Metric, Reduction

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames


@dataclass(frozen=True, kw_only=True)
class MeanOfFrames(Metric):
    """Mean over frames of a value computed from shared statistics; the value must leave out missing cells."""

    leaves_out_missing: bool = True
    value: Callable[[Frames], Tensor]

    def statistics(self, frames: Frames) -> Tensor:
        """Return the value of each frame."""
        return self.value(frames)


@dataclass(frozen=True, kw_only=True)
class RootOfMean(MeanOfFrames):
    """Root of the mean over frames of a squared value; the value of a single frame is already a root."""

    @property
    def reduction(self) -> Reduction:
        """Root of the mean of squares."""
        return "rms"

    def statistics(self, frames: Frames) -> Tensor:
        """Return the square of each frame's recorded value, so that totals and re-summed records are bit-identical."""
        return self.value(frames).square()

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the root of the mean."""
        return means[0].sqrt() if hasattr(means[0], "sqrt") else means[0] ** 0.5


MSE_FRAME = MeanOfFrames(
    name="mse_frame",
    formula="Σ(ŷ−y)² over C, H, W; mean of frames (the field's table unit)",
    unit="model²",
    reference="Wang et al. 2017 (PredRNN: sums over a frame)",
    shared=("squared",),
    value=lambda frames: frames.shared["squared"],
)
MAE_FRAME = MeanOfFrames(
    name="mae_frame",
    formula="Σ|ŷ−y| over C, H, W; mean of frames (the field's table unit)",
    unit="model",
    reference="Wang et al. 2017 (PredRNN: sums over a frame)",
    shared=("absolute",),
    value=lambda frames: frames.shared["absolute"],
)
RMSE_FRAME = RootOfMean(
    name="rmse_frame",
    formula="root of mse_frame",
    unit="model",
    reference="Wang et al. 2017 (PredRNN: sums over a frame)",
    shared=("squared",),
    value=lambda frames: frames.shared["squared"].sqrt(),
)
MSE_PIXEL = MeanOfFrames(
    name="mse_pixel",
    formula="mean of (ŷ−y)² over C, H, W; mean of frames",
    unit="model²",
    reference="Wang & Bovik 2009",
    shared=("squared",),
    value=lambda frames: frames.shared["squared"] / frames.pixels,
)
MAE_PIXEL = MeanOfFrames(
    name="mae_pixel",
    formula="mean of |ŷ−y| over C, H, W; mean of frames",
    unit="model",
    reference="Wang & Bovik 2009",
    shared=("absolute",),
    value=lambda frames: frames.shared["absolute"] / frames.pixels,
)
RMSE_PIXEL = RootOfMean(
    name="rmse_pixel",
    formula="root of mse_pixel",
    unit="model",
    reference="Wang & Bovik 2009",
    shared=("squared",),
    value=lambda frames: (frames.shared["squared"] / frames.pixels).sqrt(),
)
