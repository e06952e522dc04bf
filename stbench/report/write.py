"""A table as text: what every format shares, and Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stbench.report.columns import cost_columns, cost_notes
from stbench.report.compare import OTHER_SEQUENCES, TOO_FEW
from stbench.report.format import arrow
from stbench.report.records import RunRecord
from stbench.report.statistics import units
from stbench.report.table import Row, Table

TIED = "≈"


@dataclass(frozen=True)
class Markup:
    """How one format shows the best value and the second one: text before and after."""

    best: tuple[str, str]
    second: tuple[str, str]


MARKDOWN = Markup(("**", "**"), ("<u>", "</u>"))


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
    return f"{before}{cell}{after}{tied}"


def cells_of(table: Table, row: Row, markup: Markup) -> list[str]:
    """One row as text, its name left out."""
    values = [value_text(row, metric, markup) for metric in table.metrics]
    return [*values, *(column.text(row) for column in cost_columns(table))]


def footnotes(table: Table) -> list[str]:
    """What a reader must know about the numbers."""
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
    if any(place.reason == OTHER_SEQUENCES for place in places):
        notes.append("Some rows were scored on other test sequences and are not compared with the best.")
    few = sorted({place.reason for place in places if place.reason.endswith(TOO_FEW)})
    notes.extend(f"Neighbouring test sequences share frames: {reason}." for reason in few)
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


def table_markdown(number: int, table: Table, out: Path) -> str:
    """A table as Markdown with its notes and the run folders behind every row; links are relative to ``out``."""
    heads = headings(table)
    lines = [f"## {table.title}", "", markdown_line(heads), markdown_line(["---"] + ["---:"] * (len(heads) - 1))]
    runs = []
    for place, row in enumerate(table.rows, start=1):
        anchor = f"t{number}r{place}"
        target = run_link(row.runs[0], out) if len(row.runs) == 1 else f"#{anchor}"
        lines.append(markdown_line([row.label, *(f"[{text}]({target})" for text in cells_of(table, row, MARKDOWN))]))
        links = ", ".join(f"seed {run.spec.seed} [{run.name}]({run_link(run, out)})" for run in row.runs)
        runs.append(f'- <a id="{anchor}"></a>{row.label}: {links}')
    lines += ["", *(f"- {note}" for note in footnotes(table)), "", "Runs behind each row:", "", *runs]
    return "\n".join([*lines, ""])


def run_link(run: RunRecord, out: Path) -> str:
    """Path of a run folder as seen from a report's folder."""
    return Path(os.path.relpath(run.folder.path.resolve(), out.resolve())).as_posix()


def markdown_line(values: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(value.replace('|', chr(92) + '|') for value in values)} |"
