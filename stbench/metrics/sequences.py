"""Statistics of a metric from its recorded columns, by frame, block and test sequence.

Axes: J statistics, N test sequences, B blocks of neighbouring sequences (N of them up to a number), T lead times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.metrics.metric import get_metric
from stbench.schema.sequences import SequenceValues, block_starts

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


def statistic_columns(metric: str, *, incomplete: bool) -> list[str]:
    """Names of the J statistics of :func:`recorded_statistics`, in the file of blocks."""
    names = columns_of(metric)[1:] or [f"{metric}.square" if get_metric(metric).reduction == "rms" else metric]
    return [*names, f"{metric}/scored"] if incomplete else names


def block_statistics(values: SequenceValues, metric: str, *, incomplete: bool) -> Array | None:
    """Return the statistics (J, B, T) of each block and lead time; None unless all are recorded.

    Those of the file of blocks are read where there are any, else they are made of all values.

    Args:
        values: what is recorded.
        metric: the metric's name.
        incomplete: the data lack values.
    """
    known = values.blocks(statistic_columns(metric, incomplete=incomplete))
    if known is not None:
        return np.stack(known)
    all_JNT = recorded_statistics(values.frames, metric, incomplete=incomplete)
    return None if all_JNT is None else blocked(all_JNT)


def blocked(all_JNT: Array) -> Array:
    """Statistics of blocks of neighbouring sequences, with the mean of all sequences: (J, N, T) -> (J, B, T)."""
    count = all_JNT.shape[1]
    starts = block_starts(count)
    if len(starts) == count:
        return all_JNT
    with np.errstate(invalid="ignore"):  # infinite values become NaN, and their metric has no intervals
        evened_JTB = evened(all_JNT.swapaxes(1, 2), starts)
    # laid out as when read from a file, so that sums over it have the same order and bits
    return np.ascontiguousarray(evened_JTB.swapaxes(1, 2))


def evened(values_xN: Array, starts_U: NDArray[np.int64]) -> Array:
    """Map (…, N) to (…, U), one value for each group of neighbours, with the mean of all members.

    A value is the mean of all plus the group's sum of deviations from it, scaled. Groups may differ in length: of plain
    sums, it would count as variance; of plain means, members of short groups would count more.

    Args:
        values_xN: the members' values.
        starts_U: first member of each group.
    """
    count = values_xN.shape[-1]
    sums_xU = np.add.reduceat(values_xN, starts_U, axis=-1)
    mean_x1 = sums_xU.sum(axis=-1, keepdims=True) / count
    lengths_U = np.diff(starts_U, append=count)
    return np.asarray(mean_x1 + (sums_xU - mean_x1 * lengths_U) * (len(starts_U) / count))


def by_sequence(one_JNT: Array, metric: str) -> Array:
    """Statistics of each sequence or block, of whose means the total is made: (J, N, T) -> (J, N).

    A metric whose total is the mean of its lead times' scores keeps them apart: (J·T, N).
    """
    if not get_metric(metric).by_lead_time:
        # few values each: a third of the time of mean()
        return np.asarray(np.einsum("jnt->jn", one_JNT) / one_JNT.shape[2])
    return one_JNT.transpose(0, 2, 1).reshape(-1, one_JNT.shape[1])
