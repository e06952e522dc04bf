"""Sections of a report, one per task: table, published rows, audits, optimism."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.report.analysis.audit import AuditRow, Finding, audit, leak_finding
from stbench.report.analysis.keys import settings_of
from stbench.report.analysis.table import Row, Table, make_tables
from stbench.report.collect.published import PublishedRow, published_leak, published_rows
from stbench.report.collect.records import Collected, RunRecord
from stbench.report.numbers import format_value

if TYPE_CHECKING:
    from stbench.efficiency.records import Profile


@dataclass(frozen=True)
class Section:
    """A table and its notes; ``findings`` are of measured rows, ``published_findings`` of published rows.

    ``leak``: what the split behind the published rows shares with training; empty if nothing is known.
    """

    table: Table
    published: tuple[PublishedRow, ...]
    findings: tuple[Finding, ...]
    published_findings: tuple[Finding, ...]
    optimism: tuple[str, ...]
    leak: str = ""


@dataclass(frozen=True)
class Report:
    """All sections, and the folders left out with the reason."""

    sections: tuple[Section, ...]
    left_out: dict[Path, str]

    @property
    def tables(self) -> list[Table]:
        """Measured tables."""
        return [section.table for section in self.sections]

    @property
    def records(self) -> list[RunRecord]:
        """Records of all runs."""
        return [record for table in self.tables for record in table.records]

    def tables_of(self, names: Collection[str]) -> list[Table]:
        """Return tables of some run folders only; a table without other runs is reused."""
        found = []
        for table in self.tables:
            own = [record for record in table.records if record.name in names]
            if len(own) == len(table.records):
                found.append(table)
            elif own:
                found += [replace(made, suffix=table.suffix) for made in make_tables(own, table.profiles)]
        return found


def make_report(collected: Collected, *, profiles: Sequence[Profile] = (), count_parameters: bool = True) -> Report:
    """Build every section from run folders alone.

    Args:
        collected: the runs.
        profiles: measured costs, shown beside the scores of the same method at the same sizes.
        count_parameters: build each method once to check recorded counts; needs torch and the plugins.
    """
    with ThreadPoolExecutor(1) as beside:
        if count_parameters:  # once, then remembered: torch is imported while the tables' files are read
            beside.submit(lambda: [_configured(record) for record in collected.records])
        tables = make_tables(collected.records, profiles)
    return Report(tuple(_section(table, tables, count_parameters) for table in tables), collected.left_out)


def _section(table: Table, tables: Sequence[Table], count_parameters: bool) -> Section:
    spec = table.spec
    plugins = {row.spec.plugin for row in table.rows}
    everything = published_rows(spec.benchmark)
    shown = tuple(row for row in everything if row.plugin.partition(":")[0] in plugins)
    leak = published_leak(spec.benchmark) if shown else ""
    leaking = [leak_finding(leak)] if leak else []
    return Section(
        table,
        shown,
        tuple(audit(measured_rows(table, count_parameters), spec.shape, spec.data_range, printed=False)),
        (*leaking, *_published_findings(table, everything, shown, count_parameters)),
        tuple(line for row in table.rows for line in _optimism(row, table, tables)),
        leak,
    )


def measured_rows(table: Table, count_parameters: bool) -> list[AuditRow]:
    """Return every finished run as a row for the audits."""
    rows = []
    for row in table.rows:
        for record in row.finished:
            expected = _configured(record) if count_parameters else None
            label = f"{row.label} seed {record.spec.seed}"
            values = {name: score.total for name, score in record.result.test.items()}
            rows.append(AuditRow(label, values, "", record.result.parameters, expected))
    return rows


def _configured(record: RunRecord) -> int | None:
    from stbench.report.analysis.parameters import configured_parameters

    return configured_parameters(record.spec)


def _published_findings(
    table: Table, everything: Sequence[PublishedRow], shown: Sequence[PublishedRow], count_parameters: bool
) -> list[Finding]:
    """Audit the whole published table, whose median is needed; return the findings of the rows shown."""
    spec = table.spec
    rows = [
        AuditRow.of_published(row, _published(spec.benchmark, row) if count_parameters else None) for row in everything
    ]
    names = {(row.label, row.table) for row in shown}
    return [f for f in audit(rows, spec.shape, spec.data_range) if (f.label, f.table) in names]


def _published(benchmark: str, row: PublishedRow) -> int | None:
    """Return the count of the configuration that a published row refers to: the nearest that its name allows."""
    from stbench.report.analysis.parameters import published_parameters

    printed = row.parameters
    if printed is None or not row.plugin:
        return None
    return min(published_parameters(benchmark, row.plugin), key=lambda count: abs(count - printed), default=None)


def _optimism(row: Row, table: Table, tables: Sequence[Table]) -> list[str]:
    """Return the gain from selecting on test, relative to the last epoch and to runs selected on validation."""
    if table.spec.selection != "test" or not row.trained:
        return []
    honest = _honest_row(row, table, tables)
    lines = []
    for metric in table.metrics:
        gains = [r.result.optimism[metric] for r in row.finished if metric in r.result.optimism]
        parts = []
        if gains:
            parts.append(f"selected minus last epoch {_signed(sum(gains) / len(gains))} (n = {len(gains)})")
        if honest is not None and metric in honest.cells and metric in row.cells:
            difference = row.cells[metric].mean - honest.cells[metric].mean
            sizes = f"n = {row.cells[metric].n} and {honest.cells[metric].n}"
            parts.append(f"legacy minus honest {_signed(difference)} ({sizes})")
        if parts:
            lines.append(f"{row.label}, {metric}: {'; '.join(parts)}")
    return lines


def _honest_row(row: Row, table: Table, tables: Sequence[Table]) -> Row | None:
    """Return the row with the same settings and data, but with checkpoints selected on validation."""
    wanted = (row.spec.method, row.spec.encoder, settings_of(row.spec))
    for other in tables:
        same_task = (other.spec.benchmark, other.spec.benchmark_version, other.spec.shape) == (
            table.spec.benchmark,
            table.spec.benchmark_version,
            table.spec.shape,
        ) and _data(other) == _data(table)
        if other.spec.selection == "test" or not same_task:
            continue
        for candidate in other.rows:
            if (candidate.spec.method, candidate.spec.encoder, settings_of(candidate.spec)) == wanted:
                return candidate
    return None


def _data(table: Table) -> tuple[str, int]:
    """Return the data on which a table's rows were scored."""
    return table.records[0].result.data_fingerprint, table.test_clips


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{format_value(abs(value))}"
