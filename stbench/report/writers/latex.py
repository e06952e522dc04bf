r"""LaTeX with booktabs: a fragment for a paper, and a document that compiles.

In the fragment a cell whose run folder lies below the fragment's is ``\stbenchrun{run folder}{text}``, which shows only
its text unless a document redefines it; our document makes it a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stbench.report.analysis.section import Report, Section
from stbench.report.analysis.table import Row, Table
from stbench.report.encode import latex, run_link
from stbench.report.writers.cells import Markup, Sheet, cells_of, footnotes, headings, published_sheet
from stbench.report.writers.scenarios import scenario_sheets

MARKUP = Markup(latex, (r"\textbf{", "}"), (r"\underline{", "}"))

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
    r"""Return all tables as a fragment for ``\input``; needs booktabs and graphicx."""
    parts = [_section(section, out) for section in report.sections]
    return "\n".join([r"\providecommand{\stbenchrun}[2]{#2}", "", *parts])


def sheet_latex(sheet: Sheet) -> str:
    """Return a table of plain text."""
    return "\n".join([f"% {latex(sheet.title)}", *_tabular(sheet), ""])


def _tabular(sheet: Sheet) -> list[str]:
    return latex_table(sheet.headings, [[latex(text) for text in row] for row in sheet.rows], sheet.names)


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """Return the lines of a booktabs table; headings are plain text, cells LaTeX. Numbers follow ``names`` columns."""
    columns = "l" * names + "r" * (len(head) - names)
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(latex(text) for text in head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _section(section: Section, out: Path) -> str:
    table = section.table
    comments = [
        f"% {latex(row.label)}, seed {run.spec.seed}: {run_link(run.folder.path, out) or latex(run.name)}"
        for row in table.rows
        for run in row.runs
    ]
    rows = [_row(table, row, out) for row in table.rows]
    notes = [*footnotes(table), *section.optimism, *map(str, section.findings)]
    lines = [*comments, *_float(table.title, latex_table(headings(table), rows), notes)]
    for sheet in scenario_sheets(table):
        lines += _float(f"{table.title}: {sheet.title}", _tabular(sheet), sheet.notes)
    if section.published:
        sheet = published_sheet(table.spec.benchmark, section.published, section.leak)
        below = [*sheet.notes, *map(str, section.published_findings)]
        lines += _float(sheet.title, _tabular(sheet), below)
    return "\n".join([*lines, ""])


def _row(table: Table, row: Row, out: Path) -> list[str]:
    target = run_link(row.runs[0].folder.path, out)
    cells, metrics = cells_of(table, row, MARKUP), len(table.metrics)
    if target is None:
        return [latex(row.label), *cells]
    linked = [rf"\stbenchrun{{{latex(target)}}}{{{value}}}" for value in cells[:metrics]]
    return [latex(row.label), *linked, *cells[metrics:]]


def _float(caption: str, tabular: Sequence[str], notes: Sequence[str]) -> list[str]:
    """Return a floating table, shrunk to the line width if it is wider, with its notes below."""
    text = r" \par ".join(latex(note) for note in notes)
    return [
        r"\begin{table}[htbp]",
        r"\centering\small",
        rf"\caption{{{latex(caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        *tabular[:-1],
        f"{tabular[-1]}}}",
        rf"\par\smallskip\begin{{minipage}}{{0.95\linewidth}}\footnotesize {text}\end{{minipage}}",
        r"\end{table}",
    ]
