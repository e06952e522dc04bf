"""How many neighbouring test sequences to draw together: the automatic block length of Politis and White.

Axes: K rows of a table, N test sequences, U stretches.

Errors of neighbouring sequences are alike where a test period is cut into windows. A resampling that draws single
sequences takes them for independent and claims too much. Stretches of neighbours keep the dependence inside. Their
length follows from the autocorrelation of the differences between rows (Politis and White 2004, with the correction of
Patton, Politis and White 2009): long where the autocorrelation dies slowly, 1 where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Starts = NDArray[np.int64]

OVERLAPS = 3
"""Least length of a stretch, in reaches of an overlap, where neighbours share frames."""
MIN_STRETCHES = 5
"""Fewer stretches than this say nothing about the variance between them."""
SHORTEST_SERIES = 16
MOST_STRETCHES = 1000
"""Sequences beyond this number are drawn in stretches, whatever their correlation: the result is the same."""


@dataclass(frozen=True)
class Stretches:
    """First sequence of each stretch (U,), of N sequences in order; ``correlated`` where neighbours are alike."""

    starts: Starts
    sequences: int
    correlated: bool

    @property
    def count(self) -> int:
        """Number of stretches, U."""
        return len(self.starts)

    @property
    def length(self) -> int:
        """Sequences of a stretch, rounded."""
        return round(self.sequences / self.count)

    @property
    def needed(self) -> int:
        """How many stretches a variance between them takes."""
        return MIN_STRETCHES if self.correlated else 2

    @property
    def enough(self) -> bool:
        """Whether a variance between the stretches can be estimated."""
        return self.count >= self.needed

    def halved(self) -> Stretches:
        """Twice as many stretches of half the length."""
        return _cut(self.sequences, min(2 * self.count, self.sequences), self.correlated)

    def means(self, values_xN: Array) -> Array:
        """(…, N) -> (…, U): sums of the stretches, scaled so that their mean is the mean of all sequences."""
        return np.add.reduceat(values_xN, self.starts, axis=-1) * (self.count / self.sequences)


def choose_stretches(differences_KN: Array, overlap: int = 1) -> Stretches:
    """Cut N sequences into stretches that are nearly independent of each other.

    Args:
        differences_KN: each row's values less the mean of all rows, sequences in order.
        overlap: sequences that many places apart, or more, share no frame; 1 where none share any.
    """
    sequences = differences_KN.shape[1]
    length = 1.0
    if sequences >= SHORTEST_SERIES:
        correlation = mean_autocorrelation(differences_KN, sequences // 4)
        if correlation_length(correlation, sequences) > 0:
            length = min(block_length(correlation, sequences), sequences / (MIN_STRETCHES + 1))
    if overlap > 1:
        length = max(length, OVERLAPS * overlap)
    correlated = length > 1
    count = max(1, int(sequences // np.ceil(length)))
    return _cut(sequences, min(count, MOST_STRETCHES), correlated)


def mean_autocorrelation(values_KN: Array, most: int) -> Array:
    """Autocorrelation at lags 0 … ``most``, (most+1,): the mean of the rows, constant rows left out."""
    centred_KN = values_KN - values_KN.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(values_KN.shape[1] + most + 1)))
    power = np.abs(np.fft.rfft(centred_KN, size, axis=1)) ** 2
    covariance = np.fft.irfft(power, size, axis=1)[:, : most + 1]
    moving = covariance[:, 0] > 1e-20 * np.square(values_KN).sum(axis=1)
    if not moving.any():
        return np.asarray(np.eye(1, most + 1)[0])
    return np.asarray((covariance[moving] / covariance[moving, :1]).mean(axis=0))


def correlation_length(correlation: Array, sequences: int) -> int:
    """The lag after which several in a row are too small to be told from 0; the last lag where none is."""
    run = _run(sequences)
    small = np.abs(correlation) < 2 * np.sqrt(np.log10(sequences) / sequences)
    for lag in range(len(correlation) - run):
        if small[lag + 1 : lag + 1 + run].all():
            return lag
    return len(correlation) - 1


def block_length(correlation: Array, sequences: int) -> float:
    """Length that estimates the variance of a mean best (Politis and White 2004, section 3.2; correction of 2009)."""
    last = len(correlation) - 1
    cut = min(2 * max(correlation_length(correlation, sequences), 1), last)
    lags = np.arange(1, cut + 1)
    weights = np.minimum(1, 2 * (1 - lags / cut))
    slope = 2 * (weights * lags * correlation[1 : cut + 1]).sum()
    level = 1 + 2 * (weights * correlation[1 : cut + 1]).sum()
    if level <= 0:
        return 1.0
    return float(max(1.0, (1.5 * slope**2 / level**2 * sequences) ** (1 / 3)))


def _run(sequences: int) -> int:
    return max(5, int(np.log10(sequences)))


def _cut(sequences: int, count: int, correlated: bool) -> Stretches:
    return Stretches(np.arange(count) * sequences // count, sequences, correlated)
