"""Errors of counts in the units of the data: above a threshold of the true flow, and relative to the total flow.

Cells with zero flow dominate traffic maps, so a percentage error needs a mask. Means are over all cells of the test
set, not means of frames. Axes: B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stbench.metrics.ratios import AboveThreshold, FromSums, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from stbench.metrics.frames import Frames

_MASKED = "over all cells with y > threshold of the test set (one mean, not one per frame)"


def _above(frames: Frames, threshold: float) -> tuple[Tensor, Tensor]:
    """Return 1 for cells whose true value exceeds the threshold, else 0, as float64; and their number, (B, T)."""
    key = ("above", threshold)
    if key not in frames.kept:
        is_above = frames.true_BTCHW > frames.in_model_space(threshold)  # a missing value exceeds nothing
        weights = is_above.double()
        frames.kept[key] = weights, weights.sum((2, 3, 4)) + frames.undefined
    found: tuple[Tensor, Tensor] = frames.kept[key]
    return found


def _relative_error(frames: Frames, weights: Tensor) -> Tensor:
    true = frames.over_known(frames.physical[1].abs())
    return frames.absolute_error / (true + (1 - weights))  # cells that do not count are not divided by 0


@dataclass(frozen=True, kw_only=True)
class Masked(AboveThreshold):
    """Mean error over cells whose true value exceeds the threshold; undefined if there are none."""

    setting: str = "flow_threshold"
    parts: tuple[str, ...] = ("error", "cells")
    error: Callable[[Frames, Tensor], Tensor]
    """Error of each cell from the frames and the weights of the cells; finite where the weight is 0."""
    root: bool = False

    def statistics(self, frames: Frames) -> tuple[Tensor, ...]:
        """Return the sum of errors and the number of cells, (B, T) each."""
        weights, cells = _above(frames, self.threshold)
        errors = frames.over_known(self.error(frames, weights))
        return (errors * weights).sum((2, 3, 4)) + frames.undefined, cells

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the mean over cells, or its root."""
        mean = ratio(means[0], means[1])
        return mean**0.5 if self.root else mean


MAE_MASK = Masked(
    name="mae_mask",
    formula=f"mean of |ŷ−y| {_MASKED}",
    unit="physical",
    reference="Yao et al. 2019 (STDN)",
    error=lambda frames, _: frames.absolute_error,
)
RMSE_MASK = Masked(
    name="rmse_mask",
    formula=f"root of the mean of (ŷ−y)² {_MASKED}",
    unit="physical",
    reference="Yao et al. 2019 (STDN)",
    error=lambda frames, _: frames.squared_error,
    root=True,
)
MAPE_MASK = Masked(
    name="mape_mask",
    formula=f"mean of |ŷ−y|/|y| {_MASKED}",
    unit="",
    reference="Yao et al. 2019 (STDN)",
    error=_relative_error,
)


def _absolute(frames: Frames) -> tuple[Tensor, ...]:
    return (
        frames.over_known(frames.absolute_error).sum((2, 3, 4)),
        frames.over_known(frames.physical[1].double().abs()).sum((2, 3, 4)) + frames.undefined,
    )


WMAPE = FromSums(
    name="wmape",
    formula="Σ|ŷ−y| / Σ|y| over all cells and frames of the test set, in physical units",
    unit="",
    reference="Hyndman & Koehler 2006 (as MAD/mean)",
    needs=frozenset({"physical"}),
    parts=("error", "flow"),
    measure=_absolute,
    score=ratio,
)
