r"""LaTeX with booktabs: a fragment for a paper and a document that compiles as it is.

In the fragment each cell is ``\stbenchrun{run folder}{text}``, which shows its text alone unless a document says
otherwise; the document makes it a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stbench.report.columns import cost_columns
from stbench.report.format import format_count, format_value
from stbench.report.published import PublishedRow
from stbench.report.section import Report, Section
from stbench.report.table import Row, Table
from stbench.report.write import Markup, footnotes, headings, run_link, value_text

MARKUP = Markup(("\x01", "\x03"), ("\x02", "\x03"))
_CONTROL = {"\x01": r"\textbf{", "\x02": r"\underline{", "\x03": "}"}
_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"$^2$",
}

DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=15mm,landscape]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[hidelinks]{hyperref}
\newcommand{\stbenchrun}[2]{\href{run:#1}{#2}}
\begin{document}
\input{table}
\end{document}
"""


def to_latex(report: Report, out: Path) -> str:
    r"""All tables as a fragment to ``\input``; packages booktabs and graphicx."""
    parts = [_section(section, out) for section in report.sections]
    return "\n".join([r"\providecommand{\stbenchrun}[2]{#2}", "", *parts])


def escape(text: str) -> str:
    r"""Text as LaTeX shows it; characters outside ASCII that have no command become ``?``.

    >>> print(escape("mse_frame ↓ 5 %"))
    mse\_frame $\downarrow$ 5 \%
    """
    shown = (_CONTROL.get(c) or _SPECIAL.get(c) or (c if c.isascii() else "?") for c in text)
    return "".join(shown)


def _section(section: Section, out: Path) -> str:
    table = section.table
    lines = [*_comments(table, out), r"\begin{table}[htbp]", r"\centering\small", rf"\caption{{{escape(table.title)}}}"]
    lines += _tabular(headings(table), [_row(table, row, out) for row in table.rows])
    lines.append(_notes([*footnotes(table), *section.optimism, *map(str, section.findings)]))
    lines.append(r"\end{table}")
    if section.published:
        lines += _published(section)
    return "\n".join([*lines, ""])


def _comments(table: Table, out: Path) -> list[str]:
    return [
        f"% {row.label}, seed {run.spec.seed}: {run_link(run, out)}".replace("\n", " ")
        for row in table.rows
        for run in row.runs
    ]


def _row(table: Table, row: Row, out: Path) -> list[str]:
    target = run_link(row.runs[0], out)
    values = [escape(value_text(row, metric, MARKUP)) for metric in table.metrics]
    linked = [rf"\stbenchrun{{{target}}}{{{value}}}" for value in values]
    return [escape(row.label), *linked, *(escape(column.text(row)) for column in cost_columns(table))]


def _tabular(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """A table that is shrunk to the line's width where it is wider; after ``names`` columns of text come numbers."""
    columns = "l" * names + "r" * (len(head) - names)
    return [
        rf"\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escape(text) for text in head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def _notes(notes: Sequence[str]) -> str:
    """Notes below a table."""
    text = r" \par ".join(escape(note) for note in notes)
    return rf"\par\smallskip\begin{{minipage}}{{0.95\linewidth}}\footnotesize {text}\end{{minipage}}"


def _published(section: Section) -> list[str]:
    """Published rows as a table of their own: their conventions are not the measured ones."""
    metrics = list(dict.fromkeys(name for row in section.published for name in row.values))
    rows = [_published_row(number, row, metrics) for number, row in enumerate(section.published, start=1)]
    notes = [f"({i}) {'; '.join([row.source, *row.caveats])}" for i, row in enumerate(section.published, start=1)]
    title = f"Published numbers for {section.table.spec.benchmark}: not measured here, not part of any mean"
    return [
        r"\begin{table}[htbp]",
        r"\centering\small",
        rf"\caption{{{escape(title)}}}",
        *_tabular(["method", "table", "setting", *metrics, "params", "note"], rows, names=3),
        _notes([*notes, *map(str, section.published_findings)]),
        r"\end{table}",
    ]


def _published_row(number: int, row: PublishedRow, metrics: Sequence[str]) -> list[str]:
    values = [format_value(row.values[name]) if name in row.values else "–" for name in metrics]
    parameters = "–" if row.parameters is None else format_count(round(row.parameters))
    return [escape(text) for text in (row.label, row.table, row.setting, *values, parameters, f"({number})")]
