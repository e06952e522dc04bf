"""Reports as Markdown, and the writer of Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stbench.report.analysis.section import Report, Section
from stbench.report.analysis.table import Row, Table
from stbench.report.encode import link, markdown, run_link
from stbench.report.writers.cells import Markup, Sheet, cells_of, footnotes, headings, published_sheet
from stbench.report.writers.scenarios import scenario_sheets

MARKUP = Markup(markdown, ("**", "**"), ("<u>", "</u>"))


def to_markdown(report: Report, out: Path, figures: Sequence[str] = ()) -> str:
    """Return all sections (measured table, notes, runs, published rows, audits, optimism) and the folders left out.

    Args:
        report: the report.
        out: folder of the file, to which links are relative.
        figures: pictures to show, relative to ``out``.
    """
    parts = [_section(number, section, out) for number, section in enumerate(report.sections, start=1)]
    if figures:
        shown = (f"![{markdown(Path(name).stem)}]({link(out / name, out)})" for name in figures)
        parts.append("\n".join(["## Figures", "", *shown, ""]))
    if report.left_out:
        lines = [f"{path}: {reason}" for path, reason in report.left_out.items()]
        parts.append("\n".join(["## Folders left out", "", *bullets(lines), ""]))
    return "\n".join(parts) or "No complete run was found.\n"


def table_markdown(number: int, table: Table, out: Path) -> str:
    """Return a table with its notes and the runs of every row; run folders below ``out`` are linked, others named."""
    rows, runs = [], []
    for place, row in enumerate(table.rows, start=1):
        anchor = f"t{number}r{place}"
        only = run_link(row.runs[0].folder.path, out) if len(row.runs) == 1 else None
        target = only or f"#{anchor}"
        rows.append([markdown(row.label), *(f"[{text}]({target})" for text in cells_of(table, row, MARKUP))])
        runs.append(f'- <a id="{anchor}"></a>{markdown(row.label)}: {_run_links(row, out)}')
    lines = [f"## {markdown(table.title)}", "", *markdown_table([markdown(head) for head in headings(table)], rows)]
    lines += ["", *bullets(footnotes(table)), "", "Runs behind each row:", "", *runs]
    return "\n".join([*lines, ""])


def sheet_markdown(sheet: Sheet) -> list[str]:
    """Return the lines of a table of plain text and its notes."""
    rows = [[markdown(text) for text in row] for row in sheet.rows]
    lines = markdown_table([markdown(head) for head in sheet.headings], rows, sheet.names)
    return [*lines, "", *bullets(sheet.notes)]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """Return the lines of a table of Markdown cells; columns after the first ``names`` are right-aligned."""
    rule = ["---"] * names + ["---:"] * (len(head) - names)
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def bullets(texts: Sequence[str]) -> list[str]:
    """Return a bullet list of plain texts."""
    return [f"- {markdown(text)}" for text in texts]


def _run_links(row: Row, out: Path) -> str:
    shown = []
    for run in row.runs:
        name, target = markdown(run.name), run_link(run.folder.path, out)
        shown.append(f"seed {run.spec.seed} {name if target is None else f'[{name}]({target})'}")
    return ", ".join(shown)


def _section(number: int, section: Section, out: Path) -> str:
    lines = [table_markdown(number, section.table, out)]
    if section.published:
        sheet = published_sheet(section.table.spec.benchmark, section.published, section.leak)
        lines += ["### Published numbers (not measured here, not part of any mean)", "", *sheet_markdown(sheet), ""]
    for sheet in scenario_sheets(section.table):
        lines += [f"### {markdown(sheet.title)}", "", *sheet_markdown(sheet), ""]
    findings = [*section.findings, *section.published_findings]
    if findings:
        lines += ["### Audit: impossible or implausible numbers", "", *bullets([str(f) for f in findings]), ""]
    if section.optimism:
        lines += ["### Optimism of selecting on test", "", *bullets(section.optimism), ""]
    return "\n".join(lines)
