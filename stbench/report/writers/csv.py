"""The CSV writer, and reports as tidy CSV: one line per run and metric, and one per row and metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from stbench.report.analysis.columns import hardware, latency, profiles_of, throughput
from stbench.report.analysis.section import Section
from stbench.report.analysis.skill import skill_columns
from stbench.report.collect.records import RunRecord
from stbench.report.encode import csv_cell

RUN_COLUMNS = (
    *("benchmark", "version", "protocol", "method", "encoder", "seed"),
    *("metric", "value", "parameters", "macs", "seconds_per_epoch", "train_seconds", "status", "reason", "run"),
)
ROW_COLUMNS = (
    *("kind", "benchmark", "protocol", "row", "metric", "mean", "std", "n", "rank", "minus_best", "low", "high"),
    *(
        "p_adjusted",
        "tied",
        "stretch",
        "parameters",
        "macs",
        "seconds_per_epoch",
        "train_seconds",
        "source",
        "note",
        "runs",
    ),
)


def to_csv(records: Sequence[RunRecord]) -> str:
    """Write one line per run and metric, with the run folder."""
    return as_csv(RUN_COLUMNS, (line for record in records for line in _run_lines(record)))


def _run_lines(record: RunRecord) -> Iterable[list[Any]]:
    spec, result = record.spec, record.result
    head = [spec.benchmark, spec.benchmark_version, spec.protocol, spec.method, spec.encoder, spec.seed]
    reason = "" if result.failure is None else f"{result.failure.kind}: {result.failure.reason}"
    costs = [result.parameters, result.macs, result.seconds_per_epoch, result.train_seconds]
    tail = [*("" if cost is None else cost for cost in costs), result.status, reason, record.name]
    for name in record.metrics:
        score = result.test.get(name)
        yield [*head, name, "" if score is None else repr(score.total), *tail]


def summary_csv(sections: Sequence[Section]) -> str:
    """Write one line per row and metric: mean over seeds, place, difference to the best; also published rows."""
    parts = (part(section) for section in sections for part in (_measured, _skill, _profiled, _published))
    lines = [line for part in parts for line in part]
    return as_csv(ROW_COLUMNS, lines)


def _measured(section: Section) -> Iterable[list[Any]]:
    table = section.table
    for row in table.rows:
        seconds = ["" if cell is None else repr(cell.mean) for cell in (row.seconds_per_epoch, row.train_seconds)]
        macs = "" if row.macs is None else row.macs
        runs = " ".join(run.name for run in row.runs)
        for metric in table.metrics:
            head = ["measured", table.spec.benchmark, table.spec.protocol, row.label, metric]
            cell, place = row.cells.get(metric), row.standings.get(metric)
            values = ["", "", 0] if cell is None else [repr(cell.mean), _number(cell.std), cell.n]
            test: list[Any] = (
                [""] * 6 if place is None else [place.rank, *_difference(place.difference), _number(place.p)]
            )
            if place is not None:
                test.append("" if place.p is None else int(place.tied))
            stretch = table.stretches.get(metric)
            test.append("" if place is None or place.p is None or stretch is None else stretch.length)
            note = "; ".join(row.failures) or (place.reason if place is not None else "")
            yield [*head, *values, *test, row.parameters, macs, *seconds, "", note, runs]


def _skill(section: Section) -> Iterable[list[Any]]:
    """Skill against each baseline; ``low`` and ``high`` are the bounds of the skill itself."""
    table = section.table
    for column in skill_columns(table):
        for row in table.rows:
            cell, found = column.cell(row), column.interval(row)
            if cell is not None:
                head = ["skill", table.spec.benchmark, table.spec.protocol, row.label, column.key]
                numbers = [repr(cell.mean), _number(cell.std), cell.n, "", "", _number(found.low), _number(found.high)]
                runs = " ".join(run.name for run in row.runs)
                yield [*head, *numbers, *[""] * 9, runs]


def _profiled(section: Section) -> Iterable[list[Any]]:
    """Return latency and throughput, with the hardware as their source."""
    table = section.table
    for profile in profiles_of(table):
        for metric, measure in (("latency_seconds", latency), ("sequences_per_second", throughput)):
            for row in table.rows:
                value = measure(profile, row)
                if value is not None:
                    head = ["profiled", table.spec.benchmark, table.spec.protocol, row.label, metric, repr(value)]
                    yield [*head, *[""] * 9, row.parameters, row.macs, "", "", hardware(profile), "", ""]


def _difference(difference: Any) -> list[str]:
    return (
        ["", "", ""] if difference is None else [repr(difference.estimate), repr(difference.low), repr(difference.high)]
    )


def _published(section: Section) -> Iterable[list[Any]]:
    for row in section.published:
        count = "" if row.parameters is None else round(row.parameters)
        for metric, value in row.values.items():
            head = ["published", section.table.spec.benchmark, f"{row.table}, {row.setting}", row.label, metric]
            yield [*head, repr(value), *[""] * 9, count, *[""] * 3, row.source, "; ".join(row.caveats), ""]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def as_csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Return comma-separated text with a header; no cell is a formula to a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(value) for value in line] for line in lines)
    return stream.getvalue()
