"""Scores of ensembles: CRPS, spread against skill, Brier score and rank histogram.

A deterministic prediction is an ensemble of one member; its CRPS is its mean absolute error.
Axes: M members, B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stbench.metrics.errors import MeanOfFrames
from stbench.metrics.metric import Need
from stbench.metrics.ratios import AboveThreshold, FromSums, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames


def crps(members_Mx: Tensor, true_x: Tensor, *, fair: bool) -> Tensor:
    """Return the continuous ranked probability score of each cell: mean |x_i − y| − ½ mean |x_i − x_j|.

    Args:
        members_Mx: (M, …).
        true_x: (…).
        fair: whether pairs are averaged over M(M−1), which makes the score independent of M, or over M² (the
            distribution of the ensemble). One member has no pairs.

    Returns:
        (…), in the units of the data.
    """
    import torch

    count = len(members_Mx)
    error = (members_Mx - true_x).abs().mean(0)
    if count == 1:
        return error
    ordered = members_Mx.sort(0).values
    place = torch.arange(1, count + 1, device=ordered.device, dtype=ordered.dtype).view(-1, *[1] * true_x.ndim)
    pairs = ((2 * place - count - 1) * ordered).sum(0)  # Σ over i < j of |x_i − x_j|
    return error - pairs / (count * (count - 1) if fair else count**2)


def rank_histogram(members_Mx: Tensor, true_x: Tensor) -> Tensor:
    """Count the cells with k members below the truth, k = 0 … M: (M+1,) int64; flat for a calibrated ensemble.

    Cells without a true value do not count. A member equal to the truth is not below it: if ties are common (no rain),
    the histogram is skewed to 0.
    """
    known = ~true_x.isnan()
    return (members_Mx < true_x).sum(0)[known].bincount(minlength=len(members_Mx) + 1)


def _crps(frames: Frames, *, fair: bool) -> Tensor:
    if len(frames.members) == 1:
        return frames.mean_absolute_error
    return frames.mean_over_known(crps(frames.physical_members.double(), frames.physical[1].double(), fair=fair))


def _spread_and_skill(frames: Frames) -> tuple[Tensor, ...]:
    """Return the mean over cells of the members' variance times (M+1)/M, and of the squared error of their mean."""
    if len(frames.members) == 1:
        return frames.mean_squared_error * float("nan"), frames.mean_squared_error
    members = frames.physical_members.double()
    count, variance = len(members), members.var(0)
    skill = (members.mean(0) - frames.physical[1]).square()
    return frames.mean_over_known(variance) * (count + 1) / count, frames.mean_over_known(skill)


@dataclass(frozen=True, kw_only=True)
class Brier(AboveThreshold):
    """Mean squared difference between the share of members with an event and the event (0 or 1)."""

    def statistics(self, frames: Frames) -> Tensor:
        """Return the mean over cells of each frame."""
        from stbench.metrics.contingency import count_events

        if len(frames.members) == 1:
            counts = count_events(frames, self.threshold)
            return (counts.misses + counts.false_alarms) / sum(counts)
        level = frames.in_model_space(self.threshold)
        share = (frames.members >= level).double().mean(0)
        return frames.mean_over_known((share - (frames.true_BTCHW >= level).double()).square()) + frames.undefined

    def finish(self, means: Sequence[Any]) -> Any:
        """Return the mean of frames."""
        return means[0]


_NEEDS: frozenset[Need] = frozenset({"physical"})
CRPS = MeanOfFrames(
    name="crps",
    formula="mean |x_i−y| − ½ mean_ij |x_i−x_j| over M² pairs of members, mean over C, H, W; mean of frames; one "
    "member: the mean absolute error",
    unit="physical",
    reference="Gneiting & Raftery 2007",
    needs=_NEEDS,
    value=lambda frames: _crps(frames, fair=False),
)
CRPS_FAIR = MeanOfFrames(
    name="crps_fair",
    formula="as crps over M(M−1) pairs: does not depend on the number of members",
    unit="physical",
    reference="Ferro 2014",
    needs=_NEEDS,
    value=lambda frames: _crps(frames, fair=True),
)
SPREAD_SKILL = FromSums(
    name="spread_skill",
    formula="√(mean variance of members · (M+1)/M) / RMSE of their mean; means over all frames, then the ratio; "
    "undefined for one member",
    unit="",
    best=1.0,
    reference="Fortin et al. 2014",
    needs=_NEEDS,
    parts=("variance", "error"),
    measure=_spread_and_skill,
    score=lambda variance, error: ratio(variance, error) ** 0.5,
)
BRIER = Brier(
    name="brier",
    formula="mean (p − [y ≥ threshold])², p the share of members with an event; mean of frames",
    unit="",
    reference="Brier 1950",
)
