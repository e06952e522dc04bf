"""Scores by lead time: mean over seeds with a confidence band, and skill against the reference row.

Axes: S seeds, N sequences, T lead times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark
from stbench.errors import UserError
from stbench.metrics import get_metric
from stbench.report.analysis.statistics import band
from stbench.report.analysis.table import Row, Table

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Series:
    """One row's score at each lead time, (T,) each; ``low`` and ``high`` bound it at 95 %.

    They are None where no per-sequence values are there.
    """

    centre: Array
    low: Array | None = None
    high: Array | None = None


def series(row: Row, metric: str) -> Series | None:
    """Scores of a row by lead time; None where it has none."""
    scores = [record.result.test[metric] for record in row.finished if metric in record.result.test]
    if not scores:
        return None
    frames = [record.frame_values(metric) for record in row.finished]
    known = [values for values in frames if values is not None and np.isfinite(values).all()]
    if len(known) < len(scores) or len({values.shape for values in known}) > 1:
        return Series(np.array([score.lead_times for score in scores]).mean(axis=0))
    root = get_metric(metric).reduction == "rms"
    values_SNT = np.stack(known)
    overlap = max(record.result.test_overlap for record in row.finished)
    return Series(*band(values_SNT**2 if root else values_SNT, overlap=overlap, root=root))


def reference_row(table: Table) -> Row | None:
    """The row that skill is measured against: the first baseline of the protocol, else the first untrained row."""
    for name in _baselines(table):
        for row in table.rows:
            if row.spec.method == name and row.finished:
                return row
    return next((row for row in table.rows if not row.trained and row.finished and row.parameters == 0), None)


def skill(row: Row, reference: Row, metric: str) -> Array | None:
    """1 - score/reference score at each lead time, for metrics where lower is better; 1 is perfect, 0 no better."""
    if not get_metric(metric).lower_is_better:
        return None
    own, other = series(row, metric), series(reference, metric)
    if own is None or other is None or own.centre.shape != other.centre.shape:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - own.centre / other.centre)


def _baselines(table: Table) -> tuple[str, ...]:
    if table.spec.benchmark not in BENCHMARKS.names():
        return ()
    try:
        protocols = load_benchmark(table.spec.benchmark).protocols
    except UserError:
        return ()
    protocol = protocols.get(table.spec.protocol)
    return () if protocol is None else protocol.baselines
