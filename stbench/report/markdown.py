"""The whole report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stbench.report.format import format_count
from stbench.report.published import PublishedRow
from stbench.report.section import Report, Section
from stbench.report.write import markdown_line, table_markdown


def to_markdown(report: Report, out: Path, figures: Sequence[str] = ()) -> str:
    """Every section: measured table, notes, runs, published rows, audits, optimism; then what was left out.

    Args:
        report: what to show.
        out: folder of the file, which links are relative to.
        figures: pictures to show, relative to ``out``.
    """
    parts = [_section(number, section, out) for number, section in enumerate(report.sections, start=1)]
    if figures:
        parts.append("\n".join(["## Figures", "", *(f"![{Path(name).stem}]({name})" for name in figures), ""]))
    if report.left_out:
        lines = [f"- `{path}`: {reason}" for path, reason in report.left_out.items()]
        parts.append("\n".join(["## Folders left out", "", *lines, ""]))
    return "\n".join(parts) or "No complete run was found.\n"


def _section(number: int, section: Section, out: Path) -> str:
    lines = [table_markdown(number, section.table, out)]
    if section.published:
        lines += ["### Published numbers (not measured here, not part of any mean)", "", *_published(section), ""]
    findings = [*section.findings, *section.published_findings]
    if findings:
        lines += ["### Audits: numbers that cannot be right, or hardly", "", *(f"- {f}" for f in findings), ""]
    if section.optimism:
        lines += ["### Optimism of selecting on test", "", *(f"- {line}" for line in section.optimism), ""]
    return "\n".join(lines)


def _published(section: Section) -> list[str]:
    metrics = list(dict.fromkeys(name for row in section.published for name in row.values))
    head = ["method", "table", "setting", *metrics, "params", "note"]
    lines = [markdown_line(head), markdown_line(["---"] * 3 + ["---:"] * (len(head) - 3))]
    lines += [markdown_line(_row(number, row, metrics)) for number, row in enumerate(section.published, start=1)]
    notes = enumerate(section.published, start=1)
    return [*lines, "", *(f"- ({number}) {'; '.join([row.source, *row.caveats])}" for number, row in notes)]


def _row(number: int, row: PublishedRow, metrics: Sequence[str]) -> list[str]:
    values = [f"{row.values[name]:g}" if name in row.values else "–" for name in metrics]
    parameters = "–" if row.parameters is None else format_count(round(row.parameters))
    return [row.label, row.table, row.setting, *values, parameters, f"({number})"]
