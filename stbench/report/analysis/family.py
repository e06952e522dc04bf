"""Comparison of rows with the best of a column: one procedure for mark, interval and p-value.

Axes: K rows, P pairs of rows, R resamples.

The best row is selected by its score, so a comparison with it is a comparison with a minimum. The family of tests is
therefore all pairs of rows (a studentised range, as in Tukey's test): in a table of equal rows the chance of any false
mark is 5 %, for any K. The distribution of the largest statistic comes from a joint simulation with R draws. Each draw
resamples test sequences for all rows together (paired), draws the seeds of each row, and estimates the variances from
the draw, which turns a normal into Student's t. Statistics with different degrees of freedom are compared on the normal
scale. The p-value of a pair is never below that of its own Student's t test, because few seeds may misjudge how the
variance is shared between rows.

Rows are distinguished from the best in steps, the farthest first (a step-down test, as in Romano and Wolf 2005). Rows
that differ leave the family, and the next row is compared with the rest. The interval of a difference is that of its
step; it excludes 0 exactly if the adjusted p-value is at most 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.report.analysis.resampling import RESAMPLES, RowValues, draws, resampled
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
EXACTLY_EQUAL = 1e-12


@dataclass(frozen=True)
class Comparison:
    """Difference of two rows' scores: estimate, interval of its step, p-value adjusted over all pairs."""

    estimate: float
    low: float
    high: float
    p: float

    @property
    def clear(self) -> bool:
        """True if the rows differ: the interval excludes 0."""
        return self.p <= 1 - CONFIDENCE


class Family:
    """The comparable rows of one column.

    Args:
        rows: values of K rows over the same sequences; trained rows need two seeds or more.
        stretches: the sequences that are drawn together.
        resamples: R; the smallest p-value is 1/(R + 1).
        seed: seed of the random draws.
    """

    def __init__(
        self, rows: Sequence[RowValues], stretches: Stretches, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> None:
        self.uncertainty = measure(rows, stretches)
        self.resamples = resamples
        error_KR = resampled(rows, stretches, draws(stretches.count, resamples, seed))
        self._errors = error_KR - error_KR.mean(axis=1, keepdims=True)
        self._spread = np.atleast_2d(np.cov(self._errors))
        rng, freedom = np.random.default_rng(seed + 1), self.uncertainty.sequence_freedom
        self._shifts, self._seeds = _drawn_seeds(self.uncertainty, resamples, rng)
        self._factor = rng.chisquare(freedom, resamples) / freedom

    def against(self, best: int) -> dict[int, Comparison]:
        """Compare every other row with the best; return row minus best by row number.

        Rows are tested from the farthest to the nearest, against the largest statistic among the remaining rows. The
        first row that does not differ ends the steps; all nearer rows do not differ either.
        """
        seen = {i: self._seen(i, best) for i in range(len(self._errors)) if i != best}
        order = sorted(seen, key=lambda i: -seen[i])
        largest = self._largest(best, order)
        found: dict[int, Comparison] = {}
        p, held = 0.0, 0.0
        for i in order:
            p = max(p, self._p(seen[i], largest[i]), self._student_p(i, best))
            critical = float(largest[i][-round((1 - CONFIDENCE) * (self.resamples + 1))])
            if p > 1 - CONFIDENCE:
                held = critical = max(held, critical, seen[i])
            found[i] = self._comparison(i, best, critical, p)
        return found

    def _comparison(self, i: int, best: int, critical: float, p: float) -> Comparison:
        difference = self._difference(i, best)
        if self.uncertainty.exact(i, best):
            return Comparison(difference, difference, difference, p)
        error, freedom = self.uncertainty.pair(i, best)
        width = error * max(student_value(critical, freedom), student_quantile(CONFIDENCE, freedom))
        return Comparison(difference, difference - width, difference + width, p)

    def _difference(self, i: int, best: int) -> float:
        return float(self.uncertainty.scores[i] - self.uncertainty.scores[best])

    def _seen(self, i: int, best: int) -> float:
        """Return the statistic of a pair on the normal scale: 0 for equal rows, infinite for a certain difference."""
        difference = abs(self._difference(i, best))
        if self.uncertainty.exact(i, best):
            equal = difference <= EXACTLY_EQUAL * float(np.abs(self.uncertainty.scores[[i, best]]).max())
            return 0.0 if equal else np.inf
        error, freedom = self.uncertainty.pair(i, best)
        return float(student_scale(np.array(difference / error), np.array(freedom)))

    def _p(self, seen: float, largest_R: Array) -> float:
        """Return the share of draws at least as large, with the observation as one of them."""
        if seen == 0:
            return 1.0
        above = self.resamples - int(np.searchsorted(largest_R, seen, side="left"))
        return (above + 1) / (self.resamples + 1)

    def _student_p(self, i: int, best: int) -> float:
        if self.uncertainty.exact(i, best):
            return 0.0
        error, freedom = self.uncertainty.pair(i, best)
        return student_p(abs(self._difference(i, best)) / error, freedom)

    def _largest(self, best: int, order: Sequence[int]) -> dict[int, Array]:
        """Return, for each row in order, the largest statistic (R,) of any pair of it, nearer rows and the best."""
        among, running_R = [best], np.zeros(self.resamples)
        found: dict[int, Array] = {}
        for i in reversed(order):
            others = [j for j in among if not self.uncertainty.exact(i, j)]
            if others:
                running_R = np.maximum(running_R, self._statistics(i, others).max(axis=0))
            among.append(i)
            found[i] = np.sort(running_R)
        return found

    def _statistics(self, i: int, others: list[int]) -> Array:
        """Return a row's statistics in draws in which all rows are equal, (P, R), on the normal scale."""
        known = self.uncertainty
        variance_P = known.differences[i, others]
        spread = self._spread
        drawn_P = np.maximum(spread[i, i] + spread[others, others] - 2 * spread[i, others], 1e-300)
        scale_P1 = np.sqrt(variance_P / drawn_P)[:, None]
        shift_PR = self._shifts[i] - self._shifts[others]
        difference_PR = (self._errors[i] - self._errors[others]) * scale_P1 + shift_PR
        sequences_PR = variance_P[:, None] * self._factor
        total_PR = sequences_PR + self._seeds[i] + self._seeds[others]
        spent_PR = _spent(known, self._seeds, i) + _spent(known, self._seeds, others)
        spent_PR += sequences_PR**2 / known.sequence_freedom
        return student_scale(np.abs(difference_PR) / np.sqrt(total_PR), total_PR**2 / spent_PR)


def _drawn_seeds(known: Uncertainty, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the effect of other seeds on each row's score, and the variance estimated from them, (K, R) each.

    A row's estimate from two or three seeds is often far too small, so it is at least the mean of all trained rows.
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
