"""Length of the stretches of test sequences that are drawn together: the block length of Politis and White.

Axes: K rows of a table, N test sequences, B blocks of them (:mod:`stbench.schema.sequences`; of a test that is not very
long each is one sequence), U stretches.

If a test period is cut into windows, the errors of neighbouring sequences are similar. A bootstrap of single sequences
treats them as independent and underestimates the variance; stretches of neighbours preserve the dependence. Their
length follows from the autocorrelation of the differences between rows (Politis and White 2004, with the correction of
Patton, Politis and White 2009); without autocorrelation it is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.metrics.sequences import evened

Array = NDArray[np.floating[Any]]
Starts = NDArray[np.int64]

OVERLAPS = 3
"""Minimum length of a stretch if neighbours share frames, in multiples of the overlap."""
MIN_STRETCHES = 5
"""Minimum number of stretches for an estimate of the variance between them."""
SHORTEST_SERIES = 16
MOST_STRETCHES = 1000
"""Maximum number of stretches; more blocks are drawn in stretches even if uncorrelated, with the same result."""


@dataclass(frozen=True)
class Scored:
    """The scored test sequences: their number, and from how many places apart on they share no frame (1: none do)."""

    sequences: int
    overlap: int = 1


@dataclass(frozen=True)
class Stretches:
    """First block of each stretch (U,), of B ordered blocks.

    ``correlated``: neighbours are similar. ``per_block``: sequences per block, on average.
    """

    starts: Starts
    blocks: int
    correlated: bool
    per_block: float = 1.0

    @property
    def count(self) -> int:
        """Number of stretches, U."""
        return len(self.starts)

    @property
    def length(self) -> int:
        """Number of sequences per stretch, rounded."""
        return round(self.per_block * self.blocks / self.count)

    @property
    def needed(self) -> int:
        """Number of stretches needed to estimate the variance between them."""
        return MIN_STRETCHES if self.correlated else 2

    @property
    def enough(self) -> bool:
        """True if the variance between stretches can be estimated."""
        return self.count >= self.needed

    def halved(self) -> Stretches:
        """Return twice as many stretches of half the length."""
        return _cut(self.blocks, min(2 * self.count, self.blocks), self.correlated, self.per_block)

    def means(self, values_xB: Array) -> Array:
        """Map (…, B) to (…, U) with the same mean (:func:`evened`)."""
        return evened(values_xB, self.starts)


def choose_stretches(differences_KB: Array, scored: Scored | None = None) -> Stretches:
    """Cut B blocks of test sequences into nearly independent stretches.

    Args:
        differences_KB: values of each row minus the mean of all rows, sequences in order.
        scored: the sequences in the blocks; None: a block is a sequence, and they share no frames.
    """
    blocks = differences_KB.shape[1]
    per_block = 1.0 if scored is None else max(1.0, scored.sequences / blocks)
    overlap = 1 if scored is None else 1 + int(np.ceil((scored.overlap - 1) / per_block))
    length = 1.0
    if blocks >= SHORTEST_SERIES:
        correlation = mean_autocorrelation(differences_KB, blocks // 4)
        if correlation_length(correlation, blocks) > 0:
            length = min(block_length(correlation, blocks), blocks / (MIN_STRETCHES + 1))
    if overlap > 1:
        length = max(length, OVERLAPS * overlap)
    count = max(1, int(blocks // np.ceil(length)))
    return _cut(blocks, min(count, MOST_STRETCHES), length > 1, per_block)


def mean_autocorrelation(values_KN: Array, most: int) -> Array:
    """Return the autocorrelation at lags 0 … ``most``, (most+1,), averaged over rows that are not constant."""
    centred_KN = values_KN - values_KN.mean(axis=1, keepdims=True)
    variance_K = np.square(centred_KN).sum(axis=1)
    moving = variance_K > 1e-20 * np.square(values_KN).sum(axis=1)
    if not moving.any():
        return np.asarray(np.eye(1, most + 1)[0])
    size = 2 ** int(np.ceil(np.log2(values_KN.shape[1] + most + 1)))
    rows = zip(centred_KN[moving], variance_K[moving], strict=True)
    power = sum(np.square(np.abs(np.fft.rfft(row_N, size))) / variance for row_N, variance in rows)
    return np.fft.irfft(power / moving.sum(), size)[: most + 1]


def correlation_length(correlation: Array, sequences: int) -> int:
    """Return the lag after which several consecutive ones are insignificant; the last lag if there is none."""
    run = _run(sequences)
    small = np.abs(correlation) < 2 * np.sqrt(np.log10(sequences) / sequences)
    for lag in range(len(correlation) - run):
        if small[lag + 1 : lag + 1 + run].all():
            return lag
    return len(correlation) - 1


def block_length(correlation: Array, sequences: int) -> float:
    """Return the best length to estimate the variance of a mean (Politis and White 2004, §3.2; correction 2009)."""
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


def _cut(blocks: int, count: int, correlated: bool, per_block: float) -> Stretches:
    return Stretches(np.arange(count) * blocks // count, blocks, correlated, per_block)
