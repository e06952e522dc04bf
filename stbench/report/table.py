"""The accuracy table: one row per method (as named), mean ± std over seeds, every cell traceable to run folders."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stbench.metrics import get_metric
from stbench.report.records import RunRecord


@dataclass(frozen=True)
class Cell:
    """Mean and sample standard deviation over n seeds; ``std`` is None for a single one."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        text = format_value(self.mean)
        return text if self.std is None else f"{text} ± {format_value(self.std)}"


@dataclass(frozen=True)
class Row:
    """One method under one protocol and encoder.

    ``runs`` are the run folders behind the row, ``failures`` the reasons of those without numbers.
    """

    method: str
    encoder: str
    cells: dict[str, Cell]
    seeds: tuple[int, ...]
    trained: bool
    parameters: int
    seconds_per_epoch: Cell | None
    runs: tuple[str, ...]
    failures: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name shown in the table."""
        return self.method if self.encoder == "paper" else f"{self.method} ({self.encoder} encoder)"


@dataclass(frozen=True)
class Table:
    """Rows of one benchmark, protocol and version."""

    benchmark: str
    version: int
    protocol: str
    selection: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    test_clips: int
    data_report: str

    @property
    def title(self) -> str:
        """What the numbers are, and how far they may be trusted."""
        notes = {"legacy": "checkpoints SELECTED ON TEST", "validation": "checkpoints selected on validation"}
        note = notes["legacy" if self.selection == "test" else "validation"]
        return f"{self.benchmark} v{self.version}, protocol {self.protocol} ({note}), {self.test_clips} test clips"

    def best(self, metric: str) -> Row | None:
        """The row with the best mean; None where no row has the metric."""
        rows = [row for row in self.rows if metric in row.cells and row.cells[metric].mean == row.cells[metric].mean]
        if not rows:
            return None
        sign = 1 if get_metric(metric).lower_is_better else -1
        return min(rows, key=lambda row: sign * row.cells[metric].mean)


def make_tables(records: Sequence[RunRecord]) -> list[Table]:
    """One table per (benchmark, version, protocol), rows in the order in which the methods first appear."""
    groups: dict[tuple[str, int, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        spec = record.spec
        groups[spec.benchmark, spec.benchmark_version, spec.protocol].append(record)
    return [_table(group) for group in groups.values()]


def _table(records: Sequence[RunRecord]) -> Table:
    rows: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        spec = record.spec
        settings = spec.model_dump_json(include={"config", "training", "evaluation"})
        rows[spec.method, spec.encoder, settings].append(record)
    metrics = list(dict.fromkeys(name for record in records for name in record.spec.evaluation.metrics))
    first = records[0].spec
    return Table(
        benchmark=first.benchmark,
        version=first.benchmark_version,
        protocol=first.protocol,
        selection=first.selection,
        metrics=tuple(metrics),
        rows=tuple(_row(group) for group in rows.values()),
        test_clips=max(record.result.test_clips for record in records),
        data_report=records[0].result.data_report,
    )


def _row(records: Sequence[RunRecord]) -> Row:
    finished = [record for record in records if record.result.status == "finished"]
    scores = [record.result.test for record in finished]
    metrics = list(dict.fromkeys(name for score in scores for name in score))
    seconds = [r.result.seconds_per_epoch for r in finished if r.result.seconds_per_epoch is not None]
    return Row(
        method=records[0].spec.method,
        encoder=records[0].spec.encoder,
        cells={name: summarise([score[name].total for score in scores if name in score]) for name in metrics},
        seeds=tuple(record.spec.seed for record in finished),
        trained=records[0].spec.training is not None,
        parameters=max((record.result.parameters for record in finished), default=0),
        seconds_per_epoch=summarise(seconds) if seconds else None,
        runs=tuple(record.folder.path.name for record in records),
        failures=tuple(
            f"seed {record.spec.seed} {record.result.failure.kind}: {record.result.failure.reason}"
            for record in records
            if record.result.failure is not None
        ),
    )


def summarise(values: Sequence[float]) -> Cell:
    """Mean and sample standard deviation (n − 1) of at least one value.

    >>> str(summarise([1.0, 3.0]))
    '2.000 ± 1.414'
    """
    std = statistics.stdev(values) if len(values) > 1 else None
    return Cell(statistics.fmean(values), std, len(values))


def format_value(value: float) -> str:
    """Four significant digits, without an exponent where it can be avoided.

    >>> format_value(0.0123456), format_value(1234.5), format_value(0.34451), format_value(2.0)
    ('0.01235', '1234', '0.3445', '2.000')
    """
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == 0 or abs(value) < 1e-5:
        return f"{value:.3g}"
    digits = 3 - _magnitude(value)
    return f"{value:.{max(digits, 0)}f}"


def _magnitude(value: float) -> int:
    """Exponent of the first significant digit."""
    return int(f"{value:.3e}".partition("e")[2])
