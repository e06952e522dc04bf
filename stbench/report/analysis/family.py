"""Which rows differ from the best of a column: one procedure for mark, interval and p-value.

Axes: K rows, P pairs of rows, R resamples.

The best row is the one that happens to look best, so comparing the others with it compares with a minimum. The family
is therefore every pair of rows (a studentised range, in the manner of Tukey's test): in a table of equal rows the
chance of any false mark is 5 %, whatever K. The distribution of the largest statistic comes from a joint simulation
with R draws: test sequences are resampled for all rows together (paired), each row's seeds are drawn anew, and the
variances are estimated anew from the draw, which is what makes Student's t out of a normal. Statistics with
different degrees of freedom are compared on the normal scale. No pair is claimed more clearly than its own Student's t
test would: few seeds may misjudge how the variance is shared between rows.

Rows are told from the best in steps, the farthest first (a step-down test, as in Romano and Wolf 2005): rows that are
told apart leave the family, and the others are held against what is left. The interval of a difference is that of its
step, and leaves 0 out exactly where the adjusted p-value is at most 5 %.
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
        self.resamples = resamples
        error_KR = np.stack([row.resampled(stretches, draws(stretches.count, resamples, seed)) for row in rows])
        self._errors = error_KR - error_KR.mean(axis=1, keepdims=True)
        self._spread = np.atleast_2d(np.cov(self._errors))
        rng, freedom = np.random.default_rng(seed + 1), self.uncertainty.sequence_freedom
        self._shifts, self._seeds = _drawn_seeds(self.uncertainty, resamples, rng)
        self._factor = rng.chisquare(freedom, resamples) / freedom

    def against(self, best: int) -> dict[int, Comparison]:
        """Every other row minus the best one, by its number.

        Rows are taken from the farthest on; each is held against the largest statistic among the rows that are not yet
        told apart. The first that cannot be told from the best ends the steps, and all nearer ones stay with it.
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
        """The statistic of a pair on the normal scale: 0 for equal rows, infinite for a difference that is certain."""
        difference = abs(self._difference(i, best))
        if self.uncertainty.exact(i, best):
            equal = difference <= EXACTLY_EQUAL * float(np.abs(self.uncertainty.scores[[i, best]]).max())
            return 0.0 if equal else np.inf
        error, freedom = self.uncertainty.pair(i, best)
        return float(student_scale(np.array(difference / error), np.array(freedom)))

    def _p(self, seen: float, largest_R: Array) -> float:
        """Share of draws at least as large, the observation counted among them."""
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
        """For each row the largest statistic of any pair among it, the nearer ones and the best, (R,) in order."""
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
        """Statistics of a row's pairs in draws in which all rows are equal, (P, R), on the normal scale."""
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
