"""Tables read out of a report's documents (Markdown, CSV, LaTeX, HTML), and the differences between two readings."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import zip_longest
from typing import Any

ROUNDING = 1e-9
"""Relative difference of numbers written in full by two machines."""
_HIDDEN = {"clips"}
"""Parts of a page's data that are pictures, which libraries encode in different ways."""
_UNESCAPED_BAR = re.compile(r"(?<!\\)\|")
_UNESCAPED_AMPERSAND = re.compile(r"(?<!\\)&")


@dataclass
class Table:
    """A table as a document shows it: ``place`` names it, rows are lists of text."""

    place: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)


def read_csv(text: str) -> list[Table]:
    """Return the one table of a CSV file."""
    lines = list(csv.reader(io.StringIO(text)))
    return [Table("", lines[0], lines[1:])] if lines else []


def read_markdown(text: str) -> list[Table]:
    """Return the tables of a Markdown document, each named by the heading above it."""
    tables: list[Table] = []
    heading, inside = "", False
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in _UNESCAPED_BAR.split(line)[1:-1]]
            if not inside:
                tables.append(Table(heading, cells))
            elif not all(re.fullmatch(r"-+:?", cell) for cell in cells):
                tables[-1].rows.append(cells)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        inside = line.startswith("|")
    return tables


def read_latex(text: str) -> list[Table]:
    """Return the tabulars of a LaTeX fragment, numbered."""
    tables: list[Table] = []
    for part in text.split(r"\begin{tabular}")[1:]:
        body = part.partition(r"\end{tabular}")[0]
        lines = [line.strip() for line in body.splitlines() if line.rstrip().endswith(r"\\")]
        cells = [[cell.strip() for cell in _UNESCAPED_AMPERSAND.split(line.removesuffix(r"\\"))] for line in lines]
        if cells:
            tables.append(Table(f"table {len(tables) + 1}", cells[0], cells[1:]))
    return tables


def read_html(text: str) -> list[Table]:
    """Return the tables of a page, named by heading and number, and the data of its charts as a last one.

    A cell is its text followed by the attributes that show or sort it.
    """
    page = _Page()
    page.feed(text)
    page.close()
    values = list(_leaves(json.loads(page.data))) if page.data else []
    return [*page.tables, Table("data of the charts", ["key", "value"], [list(pair) for pair in values])]


READERS: dict[str, Callable[[str], list[Table]]] = {
    ".csv": read_csv,
    ".md": read_markdown,
    ".tex": read_latex,
    ".html": read_html,
}


def differences(stored: Sequence[Table], made: Sequence[Table]) -> Iterator[str]:
    """Yield one line per cell of stored tables that differs from the same cell of tables made again.

    Columns are matched by their heading, so tables made again may have further ones.
    """
    if len(stored) != len(made):
        yield f"{len(stored)} tables, the runs give {len(made)}"
    for shown, now in zip(stored, made, strict=False):
        where = f"{shown.place}: " if shown.place else ""
        if shown.place != now.place:
            yield f"a table is headed {shown.place!r}, the runs give {now.place!r}"
        if len(shown.rows) != len(now.rows):
            yield f"{where}{len(shown.rows)} rows, the runs give {len(now.rows)}"
        columns = _matched(shown.head, now.head)
        lost = [head for head, place in zip(shown.head, columns, strict=True) if place is None]
        yield from (f"{where}column {head!r} cannot be made again" for head in lost)
        for number, (cells, again) in enumerate(zip(shown.rows, now.rows, strict=False), start=1):
            row = f"row {number} ({cells[0] if cells else ''})"
            if len(cells) != len(shown.head):
                yield f"{where}{row}: {len(cells)} cells in {len(shown.head)} columns"
            for head, place, cell in zip_longest(shown.head, columns, cells, fillvalue=None):
                if place is not None and not _same(cell, again[place] if place < len(again) else None):
                    seen = again[place] if place < len(again) else None
                    yield f"{where}{row}, column {head!r}: shows {cell!r}, the runs give {seen!r}"


def cell_count(tables: Sequence[Table]) -> int:
    """Return the number of cells below the headings."""
    return sum(len(row) for table in tables for row in table.rows)


def _matched(head: Sequence[str], other: Sequence[str]) -> list[int | None]:
    """Return the place in ``other`` of each heading; equal headings are matched in order."""
    left = list(enumerate(other))
    found: list[int | None] = []
    for name in head:
        match = next((pair for pair in left if pair[1] == name), None)
        if match is not None:
            left.remove(match)
        found.append(None if match is None else match[0])
    return found


def _same(one: str | None, other: str | None) -> bool:
    """True for equal texts, and for numbers written in full that differ in their last digits."""
    if one == other:
        return True
    if one is None or other is None or min(len(one), len(other)) < 12:
        return False
    try:
        return math.isclose(float(one), float(other), rel_tol=ROUNDING)
    except ValueError:
        return False


class _Page(HTMLParser):
    """Collects the tables of a page and the text of its data element."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[Table] = []
        self.data = ""
        self._heading = ""
        self._cell: list[str] | None = None
        self._row: list[str] = []
        self._into = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.tables.append(Table(f"{self._heading}, table {len(self.tables) + 1}", []))
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            self._cell = []
        elif tag in ("h2", "h3", "h4"):
            self._into, self._heading = "heading", ""
        elif tag == "script" and given.get("id") == "data":
            self._into = "data"
        if self._cell is not None:
            self._cell += [
                f" [{key}={given[key]}]" for key in ("data-value", "class", "href", "title") if given.get(key)
            ]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self._row.append(" ".join("".join(self._cell).split()))
            self._cell = None
        elif tag == "tr" and self.tables:
            table = self.tables[-1]
            if not table.head:
                table.head = self._row
            else:
                table.rows.append(self._row)
        elif tag in ("h2", "h3", "h4", "script"):
            self._into = ""

    def handle_data(self, data: str) -> None:
        if self._into == "data":
            self.data += data
        elif self._into == "heading":
            self._heading += data
        elif self._cell is not None:
            self._cell.append(data)


def _leaves(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every number and text of nested data with the keys that lead to it, without pictures."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if pairs is None:
        yield path, json.dumps(values)
        return
    for key, value in pairs:
        if key not in _HIDDEN:
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
