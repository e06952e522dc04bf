"""Skill against the baselines as columns: 1 − score / score of the baseline, with its 95 % interval.

The interval is the paired bootstrap's: row and baseline are drawn on the same sequences. Axes: J statistics, S seeds, N
sequences or blocks of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stbench.metrics import get_metric
from stbench.report.analysis.compare import Entry, scored_of
from stbench.report.analysis.intervals import Interval, ratio_of
from stbench.report.analysis.lead_time import baselines_of
from stbench.report.analysis.table import Cell, Row, Table, summarise
from stbench.report.numbers import format_value

NONE = "–"


@dataclass(frozen=True)
class SkillColumn:
    """The skill of every row in one metric against one baseline."""

    metric: str
    reference: Row

    @property
    def key(self) -> str:
        """Name in files: ``skill_mse_persistence``."""
        name = "mse" if self.metric in ("mse_frame", "mse_pixel") else self.metric  # their ratios are the same
        return f"skill_{name}_{self.reference.label}"

    @property
    def heading(self) -> str:
        """Name for readers, with the direction of improvement."""
        return f"{self.key} ↑"

    def cell(self, row: Row) -> Cell | None:
        """Return mean and standard deviation over seeds; None if the row lacks the metric."""
        base = self.reference.cells.get(self.metric)
        totals = [record.result.test[self.metric].total for record in row.finished if self.metric in record.result.test]
        return summarise([1 - total / base.mean for total in totals]) if totals and base and base.mean else None

    def interval(self, row: Row) -> Interval:
        """Return the skill with its interval; kept in the row, as every format asks for it."""
        if self.key not in row.kept:
            row.kept[self.key] = self._interval(row)
        found: Interval = row.kept[self.key]
        return found

    def _interval(self, row: Row) -> Interval:
        cell = self.cell(row)
        centre = np.nan if cell is None else cell.mean
        own, base = (Entry(one.finished, one.trained) for one in (row, self.reference))
        if row is self.reference or not own.sequences or own.sequences != base.sequences:
            return Interval(centre)
        mine, other = own.values(self.metric), base.values(self.metric)
        if mine is None or other is None:
            return Interval(centre)
        first_JSN = np.repeat(other.statistics[:, :1], mine.seeds, axis=1)
        ratio = ratio_of(first_JSN, mine.statistics, mine.finish, row.trained, scored_of(row.finished))
        if ratio.low is None or ratio.high is None:
            return Interval(centre)
        return Interval(1 - ratio.centre, 1 - ratio.high, 1 - ratio.low)

    def number(self, row: Row) -> float | None:
        """Return the skill; None if the row lacks the metric."""
        cell = self.cell(row)
        return None if cell is None else cell.mean

    def text(self, row: Row) -> str:
        """Return the skill as shown in a table, with its interval."""
        value = self.number(row)
        if value is None:
            return NONE
        found = self.interval(row)
        if found.low is None or found.high is None:
            return _short(value)
        return f"{_short(value)} [{_short(found.low)}, {_short(found.high)}]"


def skill_columns(table: Table) -> list[SkillColumn]:
    """Return a column for each baseline in the table, of its first metric of errors, the squared one if it has it."""
    errors = [name for name in table.metrics if _has_skill(name)]
    metric = next((name for name in errors if name.startswith("mse")), next(iter(errors), None))
    if metric is None:
        return []
    references = [row for row in baselines_of(table) if metric in row.cells]
    return [SkillColumn(metric, row) for row in references if len(table.rows) > 1]


def skill_notes(columns: Sequence[SkillColumn]) -> list[str]:
    """Return the note below a table that explains its skill columns."""
    if not columns:
        return []
    return [
        f"Skill: 1 − {columns[0].metric} / {columns[0].metric} of the baseline (1 is perfect, below 0 is worse than "
        "the baseline), with the 95 % interval of the paired bootstrap where there are enough test sequences."
    ]


def _has_skill(name: str) -> bool:
    metric = get_metric(name)
    return metric.lower_is_better and metric.best is None and metric.reduction != "parts"


def _short(value: float) -> str:
    return f"{value:.3f}".replace("-", "−") if abs(value) < 100 else format_value(value)
