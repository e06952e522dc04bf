"""Tables of scores: one row per method, mean ± std over seeds, every cell traceable to run folders."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stbench.errors import counted
from stbench.metrics import with_companions
from stbench.report.analysis.compare import Entry, Standing, standings
from stbench.report.analysis.keys import code_differences, distinguish, row_key, row_labels, task_key
from stbench.report.analysis.stretches import Stretches
from stbench.report.collect.records import RunRecord
from stbench.report.numbers import format_spread, format_value
from stbench.schema import RunSpec

if TYPE_CHECKING:
    from stbench.efficiency.records import Profile
    from stbench.report.analysis.scenarios import ScenarioTable


@dataclass(frozen=True)
class Cell:
    """Mean and sample standard deviation over n seeds; ``std`` is None for one seed and for infinite scores."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return format_value(self.mean) if self.std is None else format_spread(self.mean, self.std)


@dataclass(frozen=True)
class Row:
    """One method with one encoder and one set of settings.

    ``runs``: its records. ``standings``: its place in every column. ``label``: the name shown. ``kept``: a cache.
    """

    label: str
    runs: tuple[RunRecord, ...]
    cells: dict[str, Cell]
    standings: dict[str, Standing]
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def spec(self) -> RunSpec:
        """Spec of its runs, which differ only in the seed."""
        return self.runs[0].spec

    @property
    def trained(self) -> bool:
        """True if the scores depend on the seed."""
        return self.spec.trained

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """Runs with a result."""
        return tuple(record for record in self.runs if record.finished)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds behind the means."""
        return tuple(record.spec.seed for record in self.finished)

    @property
    def parameters(self) -> int:
        """Number of trainable values; 0 if every run failed."""
        return max((record.result.parameters for record in self.finished), default=0)

    @property
    def macs(self) -> int | None:
        """Multiply-adds of predicting one clip; None if not counted."""
        return max((r.result.macs for r in self.finished if r.result.macs is not None), default=None)

    @property
    def seconds_per_epoch(self) -> Cell | None:
        """Training time of an epoch."""
        return _summary([record.result.seconds_per_epoch for record in self.finished])

    @property
    def train_seconds(self) -> Cell | None:
        """Training time of a whole run."""
        return _summary([record.result.train_seconds for record in self.finished])

    @property
    def code_differences(self) -> str:
        """Which seeds were trained by which code; empty if it was the same for all."""
        return code_differences(self.runs)

    @property
    def failures(self) -> tuple[str, ...]:
        """Reasons why runs have no numbers."""
        return tuple(
            f"seed {record.spec.seed} {record.result.failure.kind}: {record.result.failure.reason}"
            for record in self.runs
            if record.result.failure is not None
        )


@dataclass(frozen=True)
class Table:
    """Rows of the same task: benchmark, version, protocol, data and shape.

    ``stretches``: the test sequences that are drawn together, by metric. ``suffix``: appended to the title if another
    table has the same one.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    profiles: tuple[Profile, ...] = ()
    stretches: Mapping[str, Stretches] = field(default_factory=dict)
    suffix: str = ""

    @property
    def spec(self) -> RunSpec:
        """Spec of one run, for the settings that all rows share."""
        return self.rows[0].spec

    @property
    def records(self) -> list[RunRecord]:
        """Records of all runs."""
        return [record for row in self.rows for record in row.runs]

    @cached_property
    def scenarios(self) -> list[ScenarioTable]:
        """Its rows beyond their test, compared once for every format that shows them."""
        from stbench.report.analysis.scenarios import scenario_tables  # it is made of tables itself

        return scenario_tables(self)

    @property
    def test_clips(self) -> int:
        """Number of test clips that were scored."""
        return max(record.result.test_clips for record in self.records)

    @property
    def data_report(self) -> str:
        """Report of what was read and dropped."""
        return next((r.result.data_report for r in self.records if r.result.data_report), "")

    @property
    def title(self) -> str:
        """Title: benchmark, protocol, number of clips, and how checkpoints were selected."""
        spec = self.spec
        head = f"{spec.benchmark} v{spec.benchmark_version}, protocol {spec.protocol} ({self._selection()})"
        return f"{head}, {counted(self.test_clips, 'test clip')}{self.suffix}"

    def _selection(self) -> str:
        """Split that selected the checkpoints of the rows trained here; public weights are scored as given."""
        here = "checkpoints SELECTED ON TEST" if self.spec.selection == "test" else "checkpoints selected on validation"
        parts = [here] if any(row.spec.training is not None for row in self.rows) else []
        given = [row.label for row in self.rows if row.spec.weights is not None]
        parts += [f"{', '.join(given)}: public weights, scored as they are"] if given else []
        return "; ".join(parts) or "nothing trained"

    def best(self, metric: str) -> Row | None:
        """Return the row with the best mean; None if no row has the metric."""
        return next((row for row in self.rows if metric in row.standings and row.standings[metric].rank == 1), None)


def make_tables(records: Sequence[RunRecord], profiles: Sequence[Profile] = ()) -> list[Table]:
    """Make one table per task, with rows in order of first appearance; ``profiles`` add speeds."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[task_key(record)].append(record)
    tables = [_table(group, profiles) for group in groups.values()]
    titles = [table.title for table in tables]
    suffixes = distinguish(titles, [group[0] for group in groups.values()])
    return [replace(table, suffix=suffix) for table, suffix in zip(tables, suffixes, strict=True)]


def _table(records: Sequence[RunRecord], profiles: Sequence[Profile]) -> Table:
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[row_key(record.spec)].append(record)
    rows = [sorted(group, key=lambda record: record.spec.seed) for group in groups.values()]
    known = {name for record in records for name in record.metrics}
    listed = dict.fromkeys(name for record in records for name in record.spec.evaluation.listed)
    metrics = tuple(name for name in with_companions(listed) if name in known)
    cells = [_cells(group) for group in rows]
    entries = [Entry([r for r in group if r.finished], group[0].spec.trained) for group in rows]
    columns = {}
    for metric in metrics:
        means = [row[metric].mean if metric in row else None for row in cells]
        columns[metric] = standings(entries, means, metric)
    made = []
    for number, (group, label) in enumerate(zip(rows, row_labels([group[0].spec for group in rows]), strict=True)):
        own = {metric: column.standings[number] for metric, column in columns.items()}
        places = {metric: place for metric, place in own.items() if place is not None}
        mixed = " (seeds of different code)" if code_differences(group) else ""
        made.append(Row(f"{label}{mixed}", tuple(group), cells[number], places))
    stretches = {metric: column.stretches for metric, column in columns.items() if column.stretches is not None}
    return Table(tuple(made), metrics, tuple(profiles), stretches)


def _cells(records: Sequence[RunRecord]) -> dict[str, Cell]:
    scores = [record.result.test for record in records if record.finished]
    names = dict.fromkeys(name for score in scores for name in score)
    return {name: summarise([score[name].total for score in scores if name in score]) for name in names}


def summarise(values: Sequence[float]) -> Cell:
    """Return mean and sample standard deviation (n − 1) of one or more values; no deviation if one is not finite.

    >>> str(summarise([1.0, 3.0]))
    '2.000 ± 1.414'
    """
    if not all(math.isfinite(value) for value in values):
        return Cell(sum(values) / len(values), None, len(values))
    std = statistics.stdev(values) if len(values) > 1 else None
    return Cell(statistics.fmean(values), std, len(values))


def _summary(values: Sequence[float | None]) -> Cell | None:
    known = [value for value in values if value is not None]
    return summarise(known) if known else None
