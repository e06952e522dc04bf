"""Plain tables and questions of the command line. Imports little: listings answer at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from stbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

LISTING_WIDTH = 200
"""Width of a listing in files and pipes."""


def listing_console() -> Console:
    """Return a console for listings."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LISTING_WIDTH)
    return console


def print_table(console: Console, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts, which may come from anyone."""
    from rich.table import Table

    from stbench.report.encode import terminal

    table = Table(*heads, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(terminal, row))
    console.print(table)


def agree(question: str, refusal: str) -> None:
    """Ask on a terminal; "no" ends the command.

    Raises:
        UserError: nobody can be asked; ``refusal`` says so.
    """
    if not sys.stdin.isatty():
        raise UserError(refusal)
    typer.confirm(question, abort=True)
