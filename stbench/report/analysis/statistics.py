"""Is one row better than another? A paired bootstrap over test sequences nested in seeds.

Axes: S seeds, N test sequences, U units that are drawn, R resamples. Values are per-sequence means whose mean over N is
a seed's score.

The difference of two rows varies for two reasons: other test sequences would have been drawn, and other seeds would
have been trained. Each resample therefore draws sequences (the same for every row and seed: paired) and, for each row,
seeds. Three things are corrected because seeds are few: drawing S of S understates their variance by (S-1)/S; scores of
seeds also differ by the sequences' own noise, which the first draw accounts for already, so that only the excess (a
two-way analysis of variance) is kept; and a normal quantile is too narrow for a variance estimated from S values
(Davison and Hinkley 1997, §3.8; Hesterberg 2015, §5.3: the expanded interval). The interval is the bias-corrected and
accelerated one (Efron 1987).

A unit is a single sequence where sequences are independent. Where neighbours share frames it is a stretch of them, as
in the non-overlapping block bootstrap (Carlstein 1986): stretches of three times the reach of an overlap are nearly
independent of each other, so that all of the above, the leave-one-out acceleration and the degrees of freedom too,
holds with U stretches in place of N sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.floating[Any]]
Counts = NDArray[np.uint16]
Starts = NDArray[np.int64]

RESAMPLES = 2000
CONFIDENCE = 0.95
STRETCH = 3
"""Length of a stretch in overlaps: of 1 to 4, the one whose simulated intervals cover best."""
MIN_STRETCHES = 5
_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class Comparison:
    """Difference of two rows' scores: estimate, confidence interval, two-sided p-value of "no difference"."""

    estimate: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Resampled:
    """Scores of one row: (S,) as observed, (S, R) under resampled units, (S, U) with one unit left out."""

    observed: Array
    resampled: Array
    left_out: Array

    @property
    def seed_variance(self) -> float:
        """Variance between seeds beyond what single units explain; 0 for one seed."""
        seeds, units = self.left_out.shape
        if seeds == 1 or units == 1:
            return 0.0
        pseudo_SU = self.observed[:, None] + (units - 1) * (self.observed[:, None] - self.left_out)
        rows, columns = pseudo_SU.mean(axis=1, keepdims=True), pseudo_SU.mean(axis=0, keepdims=True)
        residual = ((pseudo_SU - rows - columns + pseudo_SU.mean()) ** 2).sum() / ((seeds - 1) * (units - 1))
        return float(max(0.0, self.observed.var(ddof=1) - residual / units))

    def nested(self, rng: np.random.Generator) -> Array:
        """Mean over S drawn seeds in every resample, (R,), with the variance between seeds made unbiased."""
        seeds, resamples = self.resampled.shape
        centre_R = self.resampled.mean(axis=0)
        excess = self.seed_variance
        if excess == 0:
            return np.asarray(centre_R)
        drawn_SR = rng.integers(seeds, size=(seeds, resamples))
        drawn_R = np.take_along_axis(self.resampled, drawn_SR, axis=0).mean(axis=0)
        stretch = np.sqrt(excess / self.observed.var())
        return np.asarray(centre_R + stretch * (drawn_R - centre_R))


def units(sequences: int, overlap: int = 1) -> Starts:
    """First sequence of each unit, (U,): every sequence, or stretches of at least ``STRETCH`` overlaps.

    Args:
        sequences: N, in order.
        overlap: sequences that many places apart, or more, share no frame; 1 where none share any.

    >>> units(4).tolist(), units(50, 8).tolist()
    ([0, 1, 2, 3], [0, 25])
    """
    count = sequences if overlap == 1 else max(1, sequences // (STRETCH * overlap))
    return np.arange(count) * sequences // count


@lru_cache(maxsize=2)
def draws(count: int, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Counts, ...]:
    """How often each of U units is drawn: chunks (r, U) whose rows sum to U and number R in all.

    The same for every row, metric and lead time, and kept: drawing takes longer than using.
    """
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK_VALUES // max(count, 1))
    chunks = []
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * count)
        chunks.append(counts.reshape(rows, count).astype(np.uint16))
    return tuple(chunks)


def resample(
    values_SN: Array, drawn: Sequence[Counts], starts_U: Starts | None = None, *, root: bool = False
) -> Resampled:
    """Scores of one row under every resample of its units (single sequences where no ``starts_U`` are given).

    ``root`` is for metrics that are the root of a mean.
    """

    def link(x: Array) -> Array:
        return np.sqrt(x) if root else x

    count = values_SN.shape[1]
    starts_U = units(count) if starts_U is None else starts_U
    sums_SU, sizes_U = np.add.reduceat(values_SN, starts_U, axis=1), np.diff(starts_U, append=count)
    total_S = values_SN.mean(axis=1)
    sums_SR = np.concatenate([sums_SU @ chunk.T.astype(np.float64) for chunk in drawn], axis=1)
    sizes_R = np.concatenate([chunk @ sizes_U for chunk in drawn])
    left_out_SU = (total_S[:, None] * count - sums_SU) / np.maximum(count - sizes_U, 1)
    return Resampled(link(total_S), link(sums_SR / sizes_R), link(left_out_SU))


def compare(row: Resampled, other: Resampled, rng: np.random.Generator, confidence: float = CONFIDENCE) -> Comparison:
    """Row minus other, with interval and p-value. A row with one seed contributes no variance of its own.

    Rows that agree in every resample differ by exactly that amount: the interval is a point.
    """
    estimate = float(row.observed.mean() - other.observed.mean())
    paired_R = row.resampled.mean(axis=0) - other.resampled.mean(axis=0)
    nested_R = row.nested(rng) - other.nested(rng)
    if not np.ptp(nested_R) > 0:
        return Comparison(estimate, estimate, estimate, float(estimate == 0))
    seeds = [len(row.observed), len(other.observed)]
    variances = [float(paired_R.var()), row.seed_variance / seeds[0], other.seed_variance / seeds[1]]
    freedoms = [row.left_out.shape[1] - 1, seeds[0] - 1, seeds[1] - 1]
    expanded_R = estimate + _expansion(variances, freedoms, confidence) * (nested_R - estimate)
    acceleration = _acceleration(row.left_out.mean(axis=0) - other.left_out.mean(axis=0), sum(variances))
    low, high = bca_interval(expanded_R, estimate, acceleration, confidence)
    return Comparison(estimate, low, high, bca_p_value(expanded_R, estimate, acceleration))


def band(
    values_SNT: Array, *, overlap: int = 1, root: bool = False, confidence: float = CONFIDENCE
) -> tuple[Array, Array, Array]:
    """Mean over seeds at each lead time and its percentile band, each (T,); same resampling as :func:`compare`."""
    seeds, sequences, steps = values_SNT.shape
    rng, starts = np.random.default_rng(0), units(sequences, overlap)
    flat_SN = np.moveaxis(values_SNT, 2, 0).reshape(steps * seeds, sequences)
    flat = resample(flat_SN, draws(len(starts)), starts, root=root)
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]
    centre, bounds = [], []
    for step in range(steps):
        own = slice(step * seeds, (step + 1) * seeds)
        scores = Resampled(flat.observed[own], flat.resampled[own], flat.left_out[own])
        centre.append(scores.observed.mean())
        bounds.append(np.quantile(scores.nested(rng), levels))
    return np.array(centre), *np.array(bounds).T


def bca_interval(resampled_R: Array, estimate: float, acceleration: float, confidence: float) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987, equations 6.8 and 7.2)."""
    bias = _bias(resampled_R, estimate)
    z = special.ndtri((1 + np.array([-confidence, confidence])) / 2) + bias
    levels = special.ndtr(bias + z / np.maximum(1 - acceleration * z, 0.1))
    low, high = np.quantile(resampled_R, levels)
    return float(low), float(high)


def bca_p_value(resampled_R: Array, estimate: float, acceleration: float) -> float:
    """Two-sided p: 1 minus the largest confidence whose BCa interval leaves 0 out; at least 2/(R+1)."""
    bias, floor = _bias(resampled_R, estimate), 1 / (len(resampled_R) + 1)
    shift = special.ndtri(np.clip(_fraction_below(resampled_R, 0.0), floor, 1 - floor)) - bias
    tail = special.ndtr(shift / max(1 + acceleration * shift, 0.1) - bias)
    return float(min(1.0, max(2 * min(tail, 1 - tail), 2 * floor)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: p of rank i (from 0) times m - i, made monotone, at most 1.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _expansion(variances: Sequence[float], freedoms: Sequence[int], confidence: float) -> float:
    """Student's quantile over the normal one, at Satterthwaite's degrees of freedom."""
    spent = sum(v**2 / f for v, f in zip(variances, freedoms, strict=True) if v > 0 and f > 0)
    if spent == 0:
        return 1.0
    level = (1 + confidence) / 2
    return float(stats.t.ppf(level, sum(variances) ** 2 / spent) / special.ndtri(level))


def _acceleration(left_out_U: Array, variance: float) -> float:
    """Skewness of the influence of single units; seeds are too few to have one."""
    count = len(left_out_U)
    influence = (count - 1) * (left_out_U.mean() - left_out_U)
    return float((influence**3).sum() / count**3 / variance**1.5 / 6) if variance > 0 else 0.0


def _bias(resampled_R: Array, estimate: float) -> float:
    floor = 1 / (len(resampled_R) + 1)
    return float(special.ndtri(np.clip(_fraction_below(resampled_R, estimate), floor, 1 - floor)))


def _fraction_below(resampled_R: Array, value: float) -> float:
    """Share of resamples below a value, ties counted half."""
    return float((resampled_R < value).mean() + (resampled_R == value).mean() / 2)
