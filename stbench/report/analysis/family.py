"""Which rows differ from the best of a column: one procedure for mark, interval and p-value.

Axes: K rows, P pairs of rows, R resamples.

The best row is the one that happens to look best, so comparing the others with it compares with a minimum. The family
is therefore every pair of rows (a studentised range, in the manner of Tukey's test): in a table of equal rows the
chance of any false mark is 5 %, whatever K. The distribution of the largest statistic comes from a joint simulation
with R draws: test sequences are resampled for all rows together (paired), each row's seeds are drawn anew, and the
variances are estimated anew from the draw, which is what makes Student's t out of a normal. Statistics with
different degrees of freedom are compared on the normal scale. No pair is claimed more clearly than its own Student's t
test would: few seeds may misjudge how the variance is shared between rows.

The interval of a difference is simultaneous and leaves 0 out exactly where the adjusted p-value is at most 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.report.analysis.resampling import RESAMPLES, RowValues, draws
from stbench.report.analysis.stretches import Stretches
from stbench.report.analysis.uncertainty import (
    Uncertainty,
    measure,
    student_p,
    student_quantile,
    student_scale,
    student_value,
)

Array = NDArray[np.floating[Any]]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Difference of two rows' scores: estimate, simultaneous confidence interval, p-value adjusted over all pairs."""

    estimate: float
    low: float
    high: float
    p: float

    @property
    def clear(self) -> bool:
        """Whether the rows differ: the interval leaves 0 out."""
        return self.p <= 1 - CONFIDENCE


class Family:
    """The rows of one column that can be compared with each other.

    Args:
        rows: values of K rows over the same sequences; trained ones with two seeds or more.
        stretches: which sequences are drawn together.
        resamples: R; the smallest p-value is 1/(R + 1).
        seed: of the random draws.
    """

    def __init__(
        self, rows: Sequence[RowValues], stretches: Stretches, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> None:
        self.uncertainty = measure(rows, stretches)
        largest = _largest(rows, self.uncertainty, stretches, resamples, seed)
        self.largest = np.sort(largest)
        self.critical = float(self.largest[-int((1 - CONFIDENCE) * (resamples + 1) + 1e-9)])

    def compare(self, i: int, j: int) -> Comparison:
        """Row i minus row j."""
        scores = self.uncertainty.scores
        difference, least = float(scores[i] - scores[j]), 1 / (len(self.largest) + 1)
        if self.uncertainty.exact(i, j):
            equal = abs(difference) <= EXACTLY_EQUAL * float(np.abs(scores[[i, j]]).max())
            return Comparison(difference, difference, difference, 1.0 if equal else least)
        error, freedom = self.uncertainty.pair(i, j)
        seen = float(student_scale(np.array(abs(difference) / error), np.array(freedom)))
        above = len(self.largest) - int(np.searchsorted(self.largest, seen, side="left"))
        p = max((above + 1) * least, student_p(abs(difference) / error, freedom))
        width = error * max(student_value(self.critical, freedom), student_quantile(CONFIDENCE, freedom))
        return Comparison(difference, difference - width, difference + width, p)


EXACTLY_EQUAL = 1e-12


def _largest(rows: Sequence[RowValues], known: Uncertainty, stretches: Stretches, resamples: int, seed: int) -> Array:
    """The largest statistic of any pair in each of R draws in which all rows are equal, (R,), on the normal scale."""
    rng, count = np.random.default_rng(seed + 1), len(rows)
    error_KR = np.stack([row.resampled(stretches, draws(stretches.count, resamples, seed)) for row in rows])
    error_KR -= error_KR.mean(axis=1, keepdims=True)
    spread_KK = np.atleast_2d(np.cov(error_KR))
    shift_KR, seeds_KR = _drawn_seeds(known, resamples, rng)
    factor_R = rng.chisquare(known.sequence_freedom, resamples) / known.sequence_freedom
    largest_R = np.zeros(resamples)
    for i in range(count - 1):
        others = [j for j in range(i + 1, count) if not known.exact(i, j)]
        if not others:
            continue
        variance_P = known.differences[i, others]
        drawn_P = np.maximum(spread_KK[i, i] + spread_KK[others, others] - 2 * spread_KK[i, others], 1e-300)
        scale_P1 = np.sqrt(variance_P / drawn_P)[:, None]
        difference_PR = (error_KR[i] - error_KR[others]) * scale_P1 + shift_KR[i] - shift_KR[others]
        sequences_PR = variance_P[:, None] * factor_R
        total_PR = sequences_PR + seeds_KR[i] + seeds_KR[others]
        spent_PR = (
            sequences_PR**2 / known.sequence_freedom + _spent(known, seeds_KR, i) + _spent(known, seeds_KR, others)
        )
        statistic_PR = student_scale(np.abs(difference_PR) / np.sqrt(total_PR), total_PR**2 / spent_PR)
        largest_R = np.maximum(largest_R, statistic_PR.max(axis=0))
    return largest_R


def _drawn_seeds(known: Uncertainty, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """What other seeds would add to each row's score, and the variance that would be estimated from them, (K, R) each.

    A row's own estimate from two or three seeds is often far too small; the mean of all trained rows is the least.
    """
    trained = known.spare > 0
    shape = len(known.spare), resamples
    if not trained.any():
        return np.zeros(shape), np.zeros(shape)
    usual = float(known.seeds[trained].mean())
    variance_K = np.where(trained, np.maximum(known.seeds, usual), 0.0)
    freedom_K1 = np.where(trained, known.spare, 1.0)[:, None]
    share_KR = rng.chisquare(freedom_K1, shape) / freedom_K1
    estimated_KR = (variance_K + known.interaction)[:, None] * share_KR - known.interaction[:, None]
    shift_KR = np.sqrt(variance_K)[:, None] * rng.standard_normal(shape)
    return shift_KR, np.where(trained[:, None], np.maximum(estimated_KR, 0.0), 0.0)


def _spent(known: Uncertainty, seeds_KR: Array, rows: int | list[int]) -> Array:
    spare = known.spare[rows]
    return np.asarray(np.square(seeds_KR[rows]) / np.where(spare > 0, spare, np.inf)[..., None])
