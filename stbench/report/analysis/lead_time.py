"""Scores by lead time: mean over seeds with a confidence band, and skill against the reference row.

Axes: J statistics, S seeds, N sequences, T lead times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, load_template
from stbench.errors import UserError
from stbench.metrics import get_metric
from stbench.report.analysis.compare import Entry, finish_of, frame_statistics, is_weighted, shared_stretches
from stbench.report.analysis.family import CONFIDENCE
from stbench.report.analysis.resampling import RowValues, mean_of_one
from stbench.report.analysis.stretches import Stretches
from stbench.report.analysis.table import Row, Table
from stbench.report.analysis.uncertainty import measure
from stbench.report.collect.records import RunRecord, several_readers

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
    found = _of_mean(row, metric) if _is_mean(row, metric) else _of_frames(row, metric)
    if found is None:
        return Series(mean)
    values_JSNT, stretches = found
    finish = finish_of(metric, weighted=is_weighted(row.finished))
    centres, widths = [], []
    for step in range(values_JSNT.shape[3]):
        known_here = measure([RowValues(values_JSNT[..., step], finish, row.trained)], stretches)
        centres.append(known_here.scores[0])
        widths.append(known_here.margin(0, CONFIDENCE))
    middle, width = np.array(centres), np.array(widths)
    return Series(middle, middle - width, middle + width, row.trained and len(row.finished) == 1)


def _is_mean(row: Row, metric: str) -> bool:
    """True if scores are means of one statistic, so that means of stretches can stand for their sequences."""
    return finish_of(metric, weighted=is_weighted(row.finished)) is mean_of_one and not get_metric(metric).by_lead_time


def _of_mean(row: Row, metric: str) -> tuple[Array, Stretches] | None:
    """Means over stretches of half length (1, S, N, T), and whole stretches of them; None without values."""
    if len({record.sequence_count for record in row.finished}) > 1:
        return None
    values = Entry(row.finished, row.trained).values(metric)
    stretches = None if values is None else shared_stretches([values], _overlap(row))
    if stretches is None or not stretches.enough:
        return None
    halved = stretches.halved()

    def read(record: RunRecord) -> Array | None:
        frames_NT = record.values.frames(metric)
        return None if frames_NT is None or len(frames_NT) != halved.sequences else halved.means_by_lead_time(frames_NT)

    with several_readers() as readers:
        found = [means_NT for means_NT in readers.map(read, row.finished) if means_NT is not None]
    known = len(found) == len(row.finished) and all(np.isfinite(means_NT).all() for means_NT in found)
    return (np.stack(found)[None], stretches.of_halves()) if known else None


def _of_frames(row: Row, metric: str) -> tuple[Array, Stretches] | None:
    """Statistics of every frame (J, S, N, T), and stretches of their sequences; None without values."""
    found = [frame_statistics(record, metric) for record in row.finished]
    known = [values for values in found if values is not None]
    if len(known) < len(found) or len({values.shape for values in known}) > 1:
        return None
    values_JSNT = np.stack(known, axis=1)
    finish = finish_of(metric, weighted=is_weighted(row.finished))
    stretches = shared_stretches([RowValues(values_JSNT.mean(axis=3), finish, row.trained)], _overlap(row))
    return (values_JSNT, stretches) if stretches.enough else None


def _overlap(row: Row) -> int:
    return max(record.result.test_overlap for record in row.finished)


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
