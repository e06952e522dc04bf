"""Tables as cells of text and notes, shared by all formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stbench.errors import counted
from stbench.metrics import get_metric
from stbench.report.analysis.columns import Column, cost_columns, cost_notes
from stbench.report.analysis.compare import Standing
from stbench.report.analysis.skill import SkillColumn, skill_columns, skill_notes
from stbench.report.analysis.table import Row, Table
from stbench.report.collect.published import PublishedRow
from stbench.report.numbers import arrow, format_count, format_printed

TIED = "≈"
UNTESTED = "†"


@dataclass(frozen=True)
class Markup:
    """How a format escapes text and marks the best and second values (text before and after them)."""

    text: Callable[[str], str]
    best: tuple[str, str]
    second: tuple[str, str]


@dataclass(frozen=True)
class Sheet:
    """A table without marks: title, column names, rows of plain text, notes; the first ``names`` columns are words."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1


def headings(table: Table) -> list[str]:
    """Return column names with arrows for the direction of improvement."""
    further = [column.heading for column in further_columns(table)]
    return ["method", *(f"{name} {arrow(name)}" for name in table.metrics), *further]


def further_columns(table: Table) -> list[SkillColumn | Column]:
    """Return the columns after the metrics: skill, then costs."""
    return [*skill_columns(table), *cost_columns(table)]


def value_text(row: Row, metric: str, markup: Markup) -> str:
    """Format a value with its marks: best, second, not distinguishable from the best, not tested."""
    cell, standing = row.cells.get(metric), row.standings.get(metric)
    if cell is None:
        return "n/a" if row.finished else "failed"
    rank = standing.rank if standing is not None else 0
    before, after = {1: markup.best, 2: markup.second}.get(rank, ("", ""))
    return f"{before}{markup.text(str(cell))}{after}{markup.text(mark(standing))}"


def mark(standing: Standing | None) -> str:
    """Return the sign after a value: not distinguishable from the best, not tested, or none."""
    if standing is None:
        return ""
    if standing.obstacle is not None:
        return f" {UNTESTED}"
    return f" {TIED}" if standing.tied else ""


def cells_of(table: Table, row: Row, markup: Markup) -> list[str]:
    """Format a row without its name."""
    values = [value_text(row, metric, markup) for metric in table.metrics]
    return [*values, *(markup.text(column.text(row)) for column in further_columns(table))]


def footnotes(table: Table) -> list[str]:
    """Return the notes below a table, as plain text."""
    places = [standing for row in table.rows for standing in row.standings.values()]
    notes = [f"Data: {table.data_report}."] if table.data_report else []
    if any(len(row.seeds) > 1 for row in table.rows):
        notes.append("Mean ± sample standard deviation over n seeds; best bold, second underlined.")
    if any(place.p is not None for place in places):
        notes.append(
            f"{TIED} marks rows that cannot be distinguished from the best at 95 %, over all pairs of rows together: "
            f"a paired bootstrap over {_drawn(table)} and draws of seeds."
        )
    if any(len(row.seeds) == 1 and row.trained for row in table.rows):
        notes.append("n = 1: a single seed, so the spread over seeds is unknown.")
    reasons = dict.fromkeys(place.obstacle.text for place in places if place.obstacle is not None)
    if reasons:
        told = "; ".join(text.removeprefix("not tested: ") for text in reasons)
        notes.append(f"{UNTESTED} not tested against the best: {told}.")
    notes.extend(skill_notes(skill_columns(table)))
    notes.extend(cost_notes(table))
    notes.extend(f"{row.label}: method source {row.code_differences}." for row in table.rows if row.code_differences)
    notes.extend(f"{row.label}: {failure}." for row in table.rows for failure in row.failures)
    notes.extend(_padding(table))
    notes.extend(_missing(table))
    clipped = max((record.result.clipped_truth for record in table.records), default=0.0)
    clipping = [name for name in table.metrics if get_metric(name).clips]
    if clipped and clipping and table.spec.selection == "test":
        notes.append(
            f"{100 * clipped:.3g} % of the true test values lie outside [0, {table.spec.data_range:g}]; "
            f"{', '.join(clipping)} clip them, as published tables do."
        )
    missing = {m: reason for record in table.records for m, reason in record.result.unavailable.items()}
    notes.extend(f"{metric} could not be computed: {reason}." for metric, reason in missing.items())
    return notes


def _padding(table: Table) -> list[str]:
    """Which rows computed on larger frames than the data's, one note per size."""
    rows: dict[tuple[int, int], list[str]] = {}
    for row in table.rows:
        for size in dict.fromkeys(r.result.padded_to for r in row.finished if r.result.padded_to is not None):
            rows.setdefault(size, []).append(row.label)
    shape = table.spec.shape
    return [
        f"{', '.join(labels)}: computed on frames mirrored at the bottom and right to {height}×{width}; losses and "
        f"scores are of the data's {shape.height}×{shape.width} cells."
        for (height, width), labels in rows.items()
    ]


def _missing(table: Table) -> list[str]:
    """Which share of the true test values is missing, and what was done about it; empty if the data lack none."""
    shares = [r.result.missing_truth for r in table.records if r.result.missing_truth is not None]
    if not shares:
        return []
    from stbench.nn.missing import FILL_RULE  # it imports torch, which most tables need not wait for

    return [
        f"{100 * max(shares):.3g} % of the true test values are missing: these cells are left out of losses and "
        f"metrics. A missing input is filled: {FILL_RULE}."
    ]


def _drawn(table: Table) -> str:
    """Describe what the bootstrap draws: single sequences, or stretches of similar neighbours."""
    lengths = {metric: one.length for metric, one in table.stretches.items() if one.correlated}
    if not lengths:
        return "test sequences"
    if len(set(lengths.values())) == 1 and len(lengths) == len(table.stretches):
        (one, *_) = table.stretches.values()
        return (
            f"{counted(one.count, 'stretch', 'stretches')} of {counted(one.length, 'test sequence')} "
            "(neighbours are similar)"
        )
    listed = ", ".join(f"{length} for {metric}" for metric, length in lengths.items())
    return f"stretches of test sequences whose neighbours are similar (length {listed}; 1 elsewhere)"


def published_sheet(benchmark: str, rows: tuple[PublishedRow, ...], leak: str = "") -> Sheet:
    """Return published rows as a separate table, because their conventions differ from the measured ones.

    ``leak``: what the split behind them shares with training, for a note.
    """
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
        (
            *([f"The split of these rows leaks: {leak}."] if leak else []),
            *(f"({number}) {'; '.join([row.source, *row.caveats])}" for number, row in enumerate(rows, start=1)),
        ),
        names=3,
    )
