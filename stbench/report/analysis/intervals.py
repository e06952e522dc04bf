"""Scores and ratios of scores with their 95 % intervals, from statistics by sequence.

Axes: J statistics, S seeds, N sequences or blocks of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.report.analysis.compare import shared_stretches
from stbench.report.analysis.family import CONFIDENCE
from stbench.report.analysis.resampling import Finish, RowValues
from stbench.report.analysis.stretches import Scored
from stbench.report.analysis.uncertainty import measure

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; ``low`` and ``high`` are None where too few sequences are known."""

    centre: float
    low: float | None = None
    high: float | None = None


def interval_of(statistics_JSN: Array | None, finish: Finish, trained: bool, scored: Scored) -> Interval:
    """Return the mean score over seeds with its interval; NaN without statistics.

    Args:
        statistics_JSN: of each seed and sequence.
        finish: from means of statistics to the score.
        trained: whether the row varies with the seed.
        scored: the sequences.
    """
    if statistics_JSN is None:
        return Interval(np.nan)
    row = RowValues(statistics_JSN, finish, trained)
    stretches = shared_stretches([row], scored)
    centre = float(row.scores.mean())
    if not stretches.enough:
        return Interval(centre)
    margin = measure([row], stretches).margin(0, CONFIDENCE)
    return Interval(centre, centre - margin, centre + margin)


def ratio_of(first: Array | None, other: Array | None, finish: Finish, trained: bool, scored: Scored) -> Interval:
    """Return the other score over the first one, on the same sequences: their noise is shared (paired)."""
    if first is None or other is None or first.shape[1:] != other.shape[1:]:
        return Interval(np.nan)
    split = len(first)

    def quotient(means_Jx: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(finish(means_Jx[split:]) / finish(means_Jx[:split]))

    return interval_of(np.concatenate([first, other]), quotient, trained, scored)
