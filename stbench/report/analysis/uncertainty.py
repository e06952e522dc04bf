"""Uncertainty of the difference of two rows, and of a row's score, from test sequences and seeds.

Axes: K rows, S seeds, N test sequences, U stretches of sequences.

The variance of a difference has one part from the test sequences, which the rows share (paired), and one from the seeds
of each row. The first is estimated from the means of stretches. If neighbours are correlated, stretches of finite
length underestimate it by a term that decreases with their length; combining estimates at full and half length removes
this term (Politis and Romano 1995: a flat-top window). The second is the variance between seeds that sequences do not
explain (two-way analysis of variance). Degrees of freedom are combined as in Satterthwaite (1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stbench.report.analysis.resampling import RowValues
from stbench.report.analysis.stretches import Stretches

Array = NDArray[np.floating[Any]]
COMBINED = 0.4
"""Degrees of freedom of the combined estimate (twice the first minus that at half length), relative to the first.

For U independent stretches the variances of the estimates are 2/U and 1/U of the squared value, and their covariance is
1/U. The variance of the combination is (4·2 + 1 - 4·1)/U = 5/U, against 2/U.
"""
EXACT = 1e-9
"""Standard errors below this fraction of the scores are rounding: the difference of the rows is exact."""


@dataclass(frozen=True)
class Uncertainty:
    """Variances of the scores of K rows.

    ``differences``: variance from test sequences of the difference of two rows. ``own``: variance from test sequences
    of a row's score. ``seeds``: variance of the mean over seeds. ``interaction``: variance that sequences add to the
    spread of seeds. ``spare``: degrees of freedom of ``seeds``; 0 if untrained, or for one seed.
    """

    scores: Array
    differences: Array
    own: Array
    seeds: Array
    interaction: Array
    spare: Array
    sequence_freedom: float

    def pair(self, i: int, j: int) -> tuple[float, float]:
        """Return the standard error and degrees of freedom of the difference of two rows."""
        sequences, known = float(self.differences[i, j]), self.spare[[i, j]] > 0
        seeds, spare = self.seeds[[i, j]], self.spare[[i, j]]
        total = sequences + float(seeds.sum())
        spent = sequences**2 / self.sequence_freedom + float((seeds[known] ** 2 / spare[known]).sum())
        return float(np.sqrt(total)), total**2 / spent if spent > 0 else np.inf

    def margin(self, i: int, confidence: float) -> float:
        """Return the half width of the interval of a row's score.

        The margins of sequences and of seeds are added as squares (Zou and Donner 2008), each with its own Student's t,
        so that two seeds that agree by chance do not make the total look certain.
        """
        parts = [float(self.own[i]) * student_quantile(confidence, self.sequence_freedom) ** 2]
        if self.spare[i] > 0:
            parts.append(float(self.seeds[i]) * student_quantile(confidence, float(self.spare[i])) ** 2)
        return float(np.sqrt(sum(parts)))

    def exact(self, i: int, j: int) -> bool:
        """Return whether the difference of two rows is exact up to rounding."""
        return self.pair(i, j)[0] <= EXACT * float(np.abs(self.scores[[i, j]]).max())


def measure(rows: Sequence[RowValues], stretches: Stretches) -> Uncertainty:
    """Estimate the variances of the rows' scores and of their differences."""
    units = [stretches.means(row.influence) for row in rows]
    covariance = _covariance(np.stack([unit_SU.mean(axis=0) for unit_SU in units]))
    differences = _of_differences(covariance)
    own, freedom = np.diagonal(covariance), float(stretches.count - 1)
    if stretches.correlated and stretches.halved().count > stretches.count:
        half = stretches.halved()
        shorter = _covariance(np.stack([half.means(row.influence).mean(axis=0) for row in rows]))
        differences = np.maximum(differences, 2 * differences - _of_differences(shorter))
        own = np.maximum(own, 2 * own - np.diagonal(shorter))
        freedom *= COMBINED
    between = [_between_seeds(row.scores, unit_SU) for row, unit_SU in zip(rows, units, strict=True)]
    excess_K, interaction_K = np.array(between).T
    count_K = np.array([row.seeds for row in rows])
    return Uncertainty(
        scores=np.array([row.scores.mean() for row in rows]),
        differences=differences,
        own=own,
        seeds=excess_K / count_K,
        interaction=interaction_K / count_K,
        spare=np.array([row.seeds - 1.0 if row.trained else 0.0 for row in rows]),
        sequence_freedom=freedom,
    )


def student_scale(t: Array, freedom: Array) -> Array:
    """Convert Student t values to the normal scale (Wallace 1959), which makes different degrees of freedom comparable.

    >>> round(float(student_scale(np.array(4.303), np.array(2.0))), 2)
    1.93
    """
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    return np.asarray(factor * np.sqrt(freedom * np.log1p(np.square(t) / freedom)))


def student_value(z: float, freedom: float) -> float:
    """Invert :func:`student_scale`."""
    if not np.isfinite(freedom):
        return z
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    return float(np.sqrt(freedom * np.expm1(min((z / factor) ** 2 / freedom, 700.0))))


def student_quantile(confidence: float, freedom: float) -> float:
    """Return the half width of a two-sided interval, in standard errors."""
    return float(special.stdtrit(min(freedom, 1e9), (1 + confidence) / 2))


def student_p(t: float, freedom: float) -> float:
    """Return the two-sided p-value of Student's t."""
    return 2 * float(special.stdtr(min(freedom, 1e9), -t))


def _covariance(units_KU: Array) -> Array:
    """Return the covariance matrix of the means of the stretches, (K, K)."""
    return np.asarray(np.atleast_2d(np.cov(units_KU)) / units_KU.shape[1])


def _of_differences(covariance_KK: Array) -> Array:
    own = np.diagonal(covariance_KK)
    return np.asarray(np.maximum(own[:, None] + own[None, :] - 2 * covariance_KK, 0.0))


def _between_seeds(scores_S: Array, units_SU: Array) -> tuple[float, float]:
    """Return the variance between seeds that sequences do not explain, and that which they do; 0 for one seed."""
    seeds, units = units_SU.shape
    if seeds == 1 or units == 1:
        return 0.0, 0.0
    rows, columns = units_SU.mean(axis=1, keepdims=True), units_SU.mean(axis=0, keepdims=True)
    residual = float(((units_SU - rows - columns + units_SU.mean()) ** 2).sum()) / ((seeds - 1) * (units - 1)) / units
    return max(0.0, float(scores_S.var(ddof=1)) - residual), residual
