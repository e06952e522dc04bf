"""Finished runs beyond their test: one sheet for each scenario and metric of a table.

Columns are the cases of a scenario, or, for one case with a longer horizon, blocks of lead times. All columns of a row
are over the same clips; the first is what the others are compared with.
Axes: J statistics, S seeds, N sequences or blocks of them, T lead times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.evaluate.scenarios.record import ScenarioResult
from stbench.metrics import get_metric
from stbench.metrics.sequences import by_sequence
from stbench.report.analysis.compare import frame_statistics, is_weighted, read_all, total_of
from stbench.report.analysis.intervals import Interval, interval_of, ratio_of
from stbench.report.analysis.lead_time import Series, reference_row, series
from stbench.report.analysis.stretches import Scored
from stbench.report.analysis.table import Row, Table
from stbench.report.collect.records import RunRecord

Array = NDArray[np.floating[Any]]
MOST_METRICS = 4
"""Metrics of a table that get a sheet for each scenario; every one is in the CSV."""


@dataclass(frozen=True)
class ColumnOf:
    """A column: which case, which lead times (from 0, None: all), and its place on a figure's axis."""

    label: str
    case: int
    leads: tuple[int, int] | None
    value: float | None


@dataclass(frozen=True)
class ScenarioRow:
    """One row of the table in one scenario: its score and its ratio to the first column, for each column."""

    row: Row
    records: tuple[RunRecord, ...]
    scores: tuple[Interval, ...]
    ratios: tuple[Interval, ...]
    clips: int
    of_clips: int


@dataclass(frozen=True)
class ScenarioTable:
    """One scenario and metric; ``skills`` are 1 − score / reference score in the last column, by row label."""

    table: Table
    name: str
    metric: str
    result: ScenarioResult
    columns: tuple[ColumnOf, ...]
    rows: tuple[ScenarioRow, ...]

    @property
    def is_rollout(self) -> bool:
        """Whether columns are blocks of lead times."""
        return self.columns[0].leads is not None

    @cached_property
    def lead_times(self) -> dict[str, Series]:
        """Scores by lead time of the first case, by row label; for rollouts."""
        found = {}
        for row in self.rows:
            cases = tuple(record.case(self.name, 0) for record in row.records)
            shown = series(Row(row.row.label, cases, {}, {}), self.metric)
            if shown is not None:
                found[row.row.label] = shown
        return found

    @property
    def skills(self) -> dict[str, float]:
        """1 − score / score of the reference row, in the last column; empty for metrics without skill."""
        contract = get_metric(self.metric)
        if not contract.lower_is_better or contract.best is not None:
            return {}
        reference = reference_row(self.table)
        known = {row.row.label: row.scores[-1].centre for row in self.rows}
        against = None if reference is None else known.get(reference.label)
        return {} if not against else {label: 1 - centre / against for label, centre in known.items()}


def scenario_tables(table: Table) -> list[ScenarioTable]:
    """Every scenario that some row of the table was scored in, with the table's first metrics."""
    names = dict.fromkeys(name for record in table.records for name in record.scenarios)
    found = []
    for name in names:
        result = next(record.scenarios[name] for record in table.records if name in record.scenarios)
        columns = _columns(result, table.spec.shape.t_out)
        for metric in [m for m in result.cases[0].metrics if _is_shown(m, table, result)]:
            rows = [made for row in table.rows if (made := _row(row, name, metric, columns)) is not None]
            if rows:
                found.append(ScenarioTable(table, name, metric, result, columns, tuple(rows)))
    return found


def _is_shown(metric: str, table: Table, result: ScenarioResult) -> bool:
    return metric in table.metrics[:MOST_METRICS] or (result.kind == "ensemble" and metric not in table.metrics)


def _columns(result: ScenarioResult, t_out: int) -> tuple[ColumnOf, ...]:
    horizon = result.cases[0].horizon
    if len(result.cases) > 1 or horizon <= t_out:
        return tuple(ColumnOf(case.label, number, None, case.value) for number, case in enumerate(result.cases))
    blocks = [(start, min(start + t_out, horizon)) for start in range(0, horizon, t_out)]
    return tuple(ColumnOf(f"{a + 1}–{b}", 0, (a, b), float(b)) for a, b in blocks)


def _row(row: Row, name: str, metric: str, columns: Sequence[ColumnOf]) -> ScenarioRow | None:
    records = tuple(record for record in row.finished if name in record.scenarios)
    cases = [record.scenarios[name].cases for record in records]
    fits = [len(own) > max(column.case for column in columns) and metric in own[0].metrics for own in cases]
    if not records or not all(fits):
        return None
    scored = [[record.case(name, column.case) for record in records] for column in columns]
    overlap = max(case.overlap for own in cases for case in own)
    sequences = [Scored(several[0].sequence_count, overlap) for several in scored]
    known = [_statistics(several, metric, column) for several, column in zip(scored, columns, strict=True)]
    finish = total_of(metric, weighted=is_weighted(records))
    scores = tuple(interval_of(values, finish, row.trained, own) for values, own in zip(known, sequences, strict=True))
    ratios = tuple(
        ratio_of(known[0], values if own == sequences[0] else None, finish, row.trained, own)
        for values, own in zip(known, sequences, strict=True)
    )
    if any(values is None for values in known):
        scores = tuple(_plain(cases, metric, column) for column in columns)
        ratios = tuple(Interval(score.centre / scores[0].centre if scores[0].centre else np.nan) for score in scores)
    return ScenarioRow(row, records, scores, ratios, cases[0][0].clips, cases[0][0].of_clips)


def _statistics(cases: Sequence[RunRecord], metric: str, column: ColumnOf) -> Array | None:
    """Statistics by seed and sequence (J, S, N) over the column's lead times; None where they were not recorded."""

    def read(case: RunRecord) -> Array | None:
        one_JNT = frame_statistics(case, metric)
        if one_JNT is None:
            return None
        return by_sequence(one_JNT if column.leads is None else one_JNT[..., slice(*column.leads)], metric)

    return read_all(cases, read)


def _plain(cases: Sequence[Any], metric: str, column: ColumnOf) -> Interval:
    """The mean over seeds of the recorded scores, without an interval."""
    scores = [own[column.case].metrics.get(metric) for own in cases]
    if None in scores:  # a prediction with NaN has none
        return Interval(np.nan)
    if column.leads is None:
        return Interval(float(np.mean([score.total for score in scores])))
    return Interval(float(np.mean([np.mean(score.lead_times[slice(*column.leads)]) for score in scores])))
