"""Statistics of a metric from its recorded columns, by frame and by test sequence.

Axes: J statistics, N test sequences, T lead times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.metrics.metric import get_metric

Array = NDArray[np.floating[Any]]


def recorded_statistics(frames: Callable[[str], Array | None], metric: str, *, incomplete: bool) -> Array | None:
    """Return the statistics (J, N, T) of each sequence and lead time; None unless all are recorded.

    :meth:`Metric.finish` turns their means into the score. A metric that is a ratio of sums has J > 1.

    Args:
        frames: gives a column (N, T) by name, or None.
        metric: the metric's name.
        incomplete: the data lack values. Frames without any true value, NaN in all columns, have statistics of 0, and
            one more statistic, last, is 1 for the other frames: means are divided by its mean.
    """
    contract = get_metric(metric)
    found = []
    for name in columns_of(metric)[1:] or [metric]:
        values_NT = frames(name)
        if values_NT is None:
            return None
        found.append(np.square(values_NT) if contract.reduction == "rms" else values_NT)
    all_JNT = np.stack(found) if len(found) > 1 else found[0][None]
    if incomplete:
        scored_NT = ~np.isnan(all_JNT).all(axis=0)
        all_JNT = np.concatenate([np.where(scored_NT, all_JNT, 0.0), scored_NT[None]])
    return all_JNT


def columns_of(metric: str) -> list[str]:
    """Return a metric's columns of values: its own, then the statistics that its score is finished from, if others."""
    contract = get_metric(metric)
    return [metric, *(f"{metric}.{part}" for part in contract.parts if contract.reduction == "parts")]


def mean_columns(metric: str, *, incomplete: bool) -> list[str]:
    """Names of the J statistics that :func:`by_sequence` averages over lead times."""
    names = columns_of(metric)[1:] or [f"{metric}.square" if get_metric(metric).reduction == "rms" else metric]
    return [*names, f"{metric}/scored"] if incomplete else names


def by_sequence(one_JNT: Array, metric: str) -> Array:
    """Statistics of each sequence, of whose means the total is made: (J, N, T) -> (J, N).

    A metric whose total is the mean of its lead times' scores keeps them apart: (J·T, N).
    """
    if not get_metric(metric).by_lead_time:
        # few values each: a third of the time of mean()
        return np.asarray(np.einsum("jnt->jn", one_JNT) / one_JNT.shape[2])
    return one_JNT.transpose(0, 2, 1).reshape(-1, one_JNT.shape[1])
