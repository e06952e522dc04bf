"""A table as Markdown, tidy CSV, and for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.table import Table as RichTable

from stbench.metrics import get_metric
from stbench.report.records import RunRecord
from stbench.report.table import Cell, Row, Table

COLUMNS = (
    *("benchmark", "version", "protocol", "method", "encoder", "seed"),
    *("metric", "value", "parameters", "seconds_per_epoch", "status", "run"),
)
ARROWS = {True: "↓", False: "↑"}


def headings(table: Table) -> list[str]:
    """Column names; the arrow says which way is better."""
    metrics = [f"{name} {ARROWS[get_metric(name).lower_is_better]}" for name in table.metrics]
    return ["method", *metrics, "n", "params", "s/epoch"]


def cells_of(table: Table, row: Row, *, bold: tuple[str, str]) -> list[str]:
    """One row as text, the best mean of each metric in bold."""
    values = []
    for metric in table.metrics:
        cell = row.cells.get(metric)
        best = table.best(metric) is row
        values.append("failed" if cell is None else f"{bold[0]}{cell}{bold[1]}" if best else str(cell))
    return [row.label, *values, _seeds(row), format_count(row.parameters), _seconds(row.seconds_per_epoch)]


def _seeds(row: Row) -> str:
    return str(len(row.seeds)) if row.trained else "1 (untrained)"


def _seconds(cell: Cell | None) -> str:
    return "–" if cell is None else f"{cell.mean:.1f}"


def format_count(count: int) -> str:
    """A parameter count in thousands or millions.

    >>> format_count(9_545_442), format_count(12_300), format_count(0)
    ('9.55 M', '12.3 k', '0')
    """
    if count >= 1_000_000:
        return f"{count / 1e6:.2f} M"
    return f"{count / 1e3:.1f} k" if count >= 1000 else str(count)


def footnotes(table: Table) -> list[str]:
    """What a reader must know about the numbers."""
    notes = [f"Data: {table.data_report}."] if table.data_report else []
    if any(len(row.seeds) == 1 and row.trained for row in table.rows):
        notes.append("n = 1: a single seed; no spread is known and no ranking is claimed.")
    if any(len(row.seeds) > 1 for row in table.rows):
        notes.append("Mean ± sample standard deviation over n seeds.")
    notes.extend(f"{row.label}: {failure}." for row in table.rows for failure in row.failures)
    return notes


def to_rich(table: Table) -> RichTable:
    """The table for a terminal."""
    shown = RichTable(title=table.title, caption="\n".join(footnotes(table)), caption_justify="left")
    for number, heading in enumerate(headings(table)):
        shown.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in table.rows:
        shown.add_row(*cells_of(table, row, bold=("[bold]", "[/bold]")))
    return shown


def to_markdown(tables: Sequence[Table]) -> str:
    """All tables as Markdown, each followed by its notes and the run folders behind every row."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    heads = headings(table)
    lines = [f"## {table.title}", "", _line(heads), _line(["---"] + ["---:"] * (len(heads) - 1))]
    lines += [_line(cells_of(table, row, bold=("**", "**"))) for row in table.rows]
    lines += ["", *(f"- {note}" for note in footnotes(table)), "", "Runs behind each row:", ""]
    lines += [f"- {row.label}: {', '.join(f'[{run}](runs/{run})' for run in row.runs)}" for row in table.rows]
    return "\n".join([*lines, ""])


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(value.replace('|', chr(92) + '|') for value in values)} |"


def to_csv(records: Sequence[RunRecord]) -> str:
    """Tidy CSV: one line per run and metric, with the run folder that it comes from."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        spec, result = record.spec, record.result
        head = [spec.benchmark, spec.benchmark_version, spec.protocol, spec.method, spec.encoder, spec.seed]
        tail = [result.parameters, result.seconds_per_epoch or "", result.status, record.folder.path.name]
        for name in spec.evaluation.metrics:
            score = result.test.get(name)
            writer.writerow([*head, name, "" if score is None else repr(score.total), *tail])
    return stream.getvalue()
