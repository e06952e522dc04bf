"""Scores of a row under a bootstrap of test sequences: statistics are summed again, then finished.

Axes: J statistics of a metric, S seeds, N test sequences or blocks of them, U stretches, R resamples.

Most metrics are the mean of one statistic (J = 1). A root of a mean, or a ratio of sums such as a critical success
index, is *finished* from the means of its statistics in each resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.report.analysis.stretches import Stretches

Array = NDArray[np.floating[Any]]
Finish = Callable[[Array], Array]
Counts = NDArray[np.float64]

RESAMPLES = 3999
_CHUNK_VALUES = 1 << 22


def mean_of_one(means_Jx: Array) -> Array:
    """Finish a metric that is the mean of one statistic: (1, …) -> (…)."""
    return np.asarray(means_Jx[0])


@dataclass(frozen=True)
class RowValues:
    """Values of a row: statistics of each seed and sequence or block (J, S, N), and what makes a score of their means.

    ``finish`` maps means (J, …) to scores (…). ``trained`` rows vary with the seed.
    """

    statistics: Array
    finish: Finish = mean_of_one
    trained: bool = True

    @property
    def seeds(self) -> int:
        """Number of seeds, S."""
        return int(self.statistics.shape[1])

    @property
    def scores(self) -> Array:
        """Score of each seed over all sequences."""
        return self.finish(self.statistics.mean(axis=2))

    @property
    def influence(self) -> Array:
        """Influence of each block on a seed's score: jackknife pseudo-values, whose mean is close to the score.

        For a mean of one statistic they are its values.
        """
        if self.finish is mean_of_one:
            return np.asarray(self.statistics[0])
        count = self.statistics.shape[2]
        means_JS1 = self.statistics.mean(axis=2, keepdims=True)
        without_JSN = (means_JS1 * count - self.statistics) / max(count - 1, 1)
        whole_S1 = self.scores[:, None]
        return np.asarray(whole_S1 + (count - 1) * (whole_S1 - self.finish(without_JSN)))


@lru_cache(maxsize=4)
def draws(count: int, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Counts, ...]:
    """Draw how often each of U stretches occurs in each of R resamples: chunks (r, U) with rows that sum to U.

    The draws are the same for every row, metric and lead time (the bootstrap is paired). They are cached, because
    drawing takes longer than using them.
    """
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK_VALUES // max(count, 1))
    chunks = []
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * count)
        chunks.append(counts.reshape(rows, count).astype(np.float64))
    return tuple(chunks)


def resampled(rows: Sequence[RowValues], stretches: Stretches, drawn: Sequence[Counts]) -> Array:
    """Return the mean score over seeds of every row in every resample, (K, R)."""
    sizes_U = np.diff(stretches.starts, append=stretches.blocks).astype(np.float64)
    sizes = [weights_RU @ sizes_U for weights_RU in drawn]
    found = []
    for row in rows:
        # of a mean, seeds can be averaged first
        statistics_JSN = row.statistics.mean(axis=1, keepdims=True) if row.finish is mean_of_one else row.statistics
        sums_JSU = np.add.reduceat(statistics_JSN, stretches.starts, axis=2)
        scores = [
            row.finish(sums_JSU @ weights_RU.T / size_R).mean(axis=0)
            for weights_RU, size_R in zip(drawn, sizes, strict=True)
        ]
        found.append(np.concatenate(scores))
    return np.stack(found)
