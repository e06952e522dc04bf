"""Tables for a terminal: complete, with fewer columns, or as lists, depending on its width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from stbench.report.analysis.table import Table
from stbench.report.encode import terminal, visible
from stbench.report.writers.cells import Markup, Sheet, cells_of, footnotes, headings

RICH = Markup(terminal, ("[bold]", "[/bold]"), ("[underline]", "[/underline]"))
PLAIN_WIDTH = 400
"""Width of files and pipes, large enough for any table."""
NARROWEST_NAME = 24


def plain_width(console: Console) -> Console:
    """Set the width of a console that is not a terminal to :data:`PLAIN_WIDTH`."""
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def to_rich(table: Table, width: int = PLAIN_WIDTH) -> RenderableType:
    """Return a result table within ``width`` columns; the first metric and n have priority, then metrics, then costs.

    Hidden columns are named below it; ``table.md`` and reports show all columns.
    """
    heads = [terminal(head) for head in headings(table)]
    rows = [[terminal(row.label), *cells_of(table, row, RICH)] for row in table.rows]
    count = next((place for place, head in enumerate(heads) if head == "n"), 0)
    wanted = [0, 1, count, *(place for place in range(2, len(heads)) if place != count)]
    made, left_out = fit(heads, rows, wanted, width, title=terminal(table.title), caption_justify="left")
    notes = footnotes(table)
    if left_out:
        notes.append(f"Hidden columns (terminal too narrow): {', '.join(left_out)}.")
    if made is None:
        return Group(
            Text(visible(table.title), style="italic"),
            *_lists(heads, rows),
            Text("\n".join(map(visible, notes)), style="dim italic"),
        )
    made.caption = "\n".join(map(terminal, notes))
    return made


def sheet_rich(sheet: Sheet) -> RichTable:
    """Return a table of plain text."""
    shown = RichTable(
        title=terminal(sheet.title), caption="\n".join(map(terminal, sheet.notes)), caption_justify="left"
    )
    for number, heading in enumerate(sheet.headings):
        shown.add_column(
            terminal(heading), justify="left" if number < sheet.names else "right", no_wrap=number < sheet.names
        )
    for row in sheet.rows:
        shown.add_row(*map(terminal, row))
    return shown


def fit(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    wanted: Sequence[int],
    width: int,
    *,
    numbers: bool = True,
    **look: Any,
) -> tuple[RichTable | None, list[str]]:
    """Return a table with as many columns as fit into ``width``, and the headings of the others.

    Args:
        heads: column names as rich markup; the first column names the rows and may wrap.
        rows: cells as rich markup.
        wanted: columns by priority; the result is None if fewer than two fit.
        width: columns of the terminal.
        numbers: right-align all columns but the first.
        look: settings of the rich table.
    """
    for count in range(len(wanted), 1, -1):
        made = RichTable(**look)
        for column in sorted(wanted[:count]):
            made.add_column(heads[column], justify="right" if column and numbers else "left", no_wrap=column > 0)
        made.columns[0].max_width = max(NARROWEST_NAME, width // 3)
        for row in rows:
            made.add_row(*(row[column] for column in sorted(wanted[:count])))
        if _width(made) <= width:
            return made, [heads[column] for column in sorted(wanted[count:])]
    return None, []


def _width(table: RichTable) -> int:
    """Return the width of a table without a limit."""
    console = Console(width=100_000)
    return table.__rich_measure__(console, console.options).maximum


def _lists(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Text]:
    """Return each row as its name and one line per column."""
    return [
        Text.from_markup(
            "\n".join([f"[bold]{name}[/bold]", *(f"  {h}: {c}" for h, c in zip(heads[1:], cells, strict=True))])
        )
        for name, *cells in rows
    ]
