"""A table as cells of text and notes: what every format shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stbench.report.analysis.columns import cost_columns, cost_notes
from stbench.report.analysis.statistics import units
from stbench.report.analysis.table import Row, Table
from stbench.report.collect.published import PublishedRow
from stbench.report.numbers import arrow, format_count, format_printed

TIED = "≈"


@dataclass(frozen=True)
class Markup:
    """How one format shows text, the best value and the second one (what stands before and after them)."""

    text: Callable[[str], str]
    best: tuple[str, str]
    second: tuple[str, str]


@dataclass(frozen=True)
class Sheet:
    """A table without marks: title, column names, rows of plain text, notes below; ``names`` columns hold words."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1


def headings(table: Table) -> list[str]:
    """Column names; the arrow says which way is better."""
    costs = [column.heading for column in cost_columns(table)]
    return ["method", *(f"{name} {arrow(name)}" for name in table.metrics), *costs]


def value_text(row: Row, metric: str, markup: Markup) -> str:
    """One value with its marks: best, second, not distinguishable from the best."""
    cell, standing = row.cells.get(metric), row.standings.get(metric)
    if cell is None:
        return "n/a" if row.finished else "failed"
    rank = standing.rank if standing is not None else 0
    before, after = {1: markup.best, 2: markup.second}.get(rank, ("", ""))
    tied = f" {TIED}" if standing is not None and standing.tied else ""
    return f"{before}{markup.text(str(cell))}{after}{markup.text(tied)}"


def cells_of(table: Table, row: Row, markup: Markup) -> list[str]:
    """One row as text, its name left out."""
    values = [value_text(row, metric, markup) for metric in table.metrics]
    return [*values, *(markup.text(column.text(row)) for column in cost_columns(table))]


def footnotes(table: Table) -> list[str]:
    """What a reader must know about the numbers, as plain text."""
    places = [standing for row in table.rows for standing in row.standings.values()]
    notes = [f"Data: {table.data_report}."] if table.data_report else []
    if any(len(row.seeds) > 1 for row in table.rows):
        notes.append("Mean ± sample standard deviation over n seeds; best bold, second underlined.")
    if any(place.p is not None for place in places):
        notes.append(
            f"Each row is compared with the best by a paired BCa bootstrap over {_drawn(table)} nested in seeds, "
            f"Holm-corrected over the column; {TIED} marks rows not distinguishable from the best at 95 %."
        )
    if any(len(row.seeds) == 1 and row.trained for row in table.rows):
        notes.append("n = 1: a single seed; no spread is known and no significance is claimed.")
    obstacles = dict.fromkeys(place.obstacle for place in places if place.obstacle is not None)
    if any(obstacle.kind == "other_sequences" for obstacle in obstacles):
        notes.append("Some rows were scored on other test sequences and are not compared with the best.")
    few = sorted({obstacle.text for obstacle in obstacles if obstacle.kind == "too_few"})
    notes.extend(f"Neighbouring test sequences share frames: {text}." for text in few)
    notes.extend(cost_notes(table))
    notes.extend(f"{row.label}: {failure}." for row in table.rows for failure in row.failures)
    missing = {m: reason for record in table.records for m, reason in record.result.unavailable.items()}
    notes.extend(f"{metric} could not be computed: {reason}." for metric, reason in missing.items())
    return notes


def _drawn(table: Table) -> str:
    """What the bootstrap draws: sequences, or stretches of them where neighbours share frames."""
    overlap = max(record.result.test_overlap for record in table.records)
    if overlap == 1:
        return "test sequences"
    count = len(units(table.test_clips, overlap))
    return f"{count} stretches of {table.test_clips // count} test sequences (neighbours share frames)"


def published_sheet(benchmark: str, rows: tuple[PublishedRow, ...]) -> Sheet:
    """Published rows as a table of their own: their conventions are not the measured ones."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.values))
    lines = []
    for number, row in enumerate(rows, start=1):
        values = [format_printed(row.values[name]) if name in row.values else "–" for name in metrics]
        parameters = "–" if row.parameters is None else format_count(round(row.parameters))
        lines.append((row.label, row.table, row.setting, *values, parameters, f"({number})"))
    return Sheet(
        f"Published numbers for {benchmark}: not measured here, not part of any mean",
        ("method", "table", "setting", *metrics, "params", "note"),
        tuple(lines),
        tuple(f"({number}) {'; '.join([row.source, *row.caveats])}" for number, row in enumerate(rows, start=1)),
        names=3,
    )
