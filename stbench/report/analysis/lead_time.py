"""Scores by lead time: mean over seeds with a confidence band, and skill against the reference row.

Axes: J statistics, S seeds, B blocks of test sequences, T lead times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, load_template
from stbench.errors import UserError
from stbench.metrics import get_metric
from stbench.report.analysis.compare import (
    finish_of,
    frame_statistics,
    is_weighted,
    read_all,
    scored_of,
    shared_stretches,
)
from stbench.report.analysis.family import CONFIDENCE
from stbench.report.analysis.resampling import RowValues
from stbench.report.analysis.table import Row, Table
from stbench.report.analysis.uncertainty import measure

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Series:
    """A row's score at each lead time, (T,).

    ``low`` and ``high``: bounds at 95 %, separately for each lead time; None if there are no or too few values per
    sequence. ``test_noise_only``: the row has one seed, so the band covers other test sequences but not other seeds.
    """

    centre: Array
    low: Array | None = None
    high: Array | None = None
    test_noise_only: bool = False


def series(row: Row, metric: str) -> Series | None:
    """Return the scores of a row by lead time, or None; cached in the row for figures and page."""
    if metric not in row.kept:
        row.kept[metric] = _series(row, metric)
    found: Series | None = row.kept[metric]
    return found


def centre(row: Row, metric: str) -> Array | None:
    """Return the mean over seeds at each lead time, (T,); None if the row lacks this metric."""
    scores = [record.result.test[metric] for record in row.finished if metric in record.result.test]
    return np.array([score.lead_times for score in scores]).mean(axis=0) if scores else None


def _series(row: Row, metric: str) -> Series | None:
    mean = centre(row, metric)
    if mean is None:
        return None
    values_JSBT = read_all(row.finished, lambda record: frame_statistics(record, metric))
    if values_JSBT is None:
        return Series(mean)
    finish = finish_of(metric, weighted=is_weighted(row.finished))
    stretches = shared_stretches([RowValues(values_JSBT.mean(axis=3), finish, row.trained)], scored_of(row.finished))
    if not stretches.enough:
        return Series(mean)
    centres, widths = [], []
    for step in range(values_JSBT.shape[3]):
        known_here = measure([RowValues(values_JSBT[..., step], finish, row.trained)], stretches)
        centres.append(known_here.scores[0])
        widths.append(known_here.margin(0, CONFIDENCE))
    middle, width = np.array(centres), np.array(widths)
    return Series(middle, middle - width, middle + width, row.trained and len(row.finished) == 1)


def reference_row(table: Table) -> Row | None:
    """Return the reference row of skill: the first baseline of the protocol, else the first untrained row."""
    for row in baselines_of(table):
        return row
    return next((row for row in table.rows if not row.trained and row.finished and row.parameters == 0), None)


def baselines_of(table: Table) -> list[Row]:
    """Return the rows of the protocol's baselines, in its order, the first of each name."""
    found = []
    for name in _baselines(table):
        found += [row for row in table.rows if row.spec.method == name and row.finished][:1]
    return found


def skill(row: Row, reference: Row, metric: str) -> Array | None:
    """Return 1 - score/reference score at each lead time, for metrics where lower is better; 1 is perfect."""
    if not get_metric(metric).lower_is_better or get_metric(metric).best is not None:
        return None
    own, other = centre(row, metric), centre(reference, metric)
    if own is None or other is None or own.shape != other.shape:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - own / other)


def _baselines(table: Table) -> tuple[str, ...]:
    try:
        is_known = table.spec.benchmark in BENCHMARKS.names()
        protocols = (load_benchmark(table.spec.benchmark) if is_known else load_template()).protocols
    except UserError:
        return ()
    protocol = protocols.get(table.spec.protocol)
    return () if protocol is None else protocol.baselines
