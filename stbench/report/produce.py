"""A report in every format asked for."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from stbench.report.latex import DOCUMENT, to_latex
from stbench.report.markdown import to_markdown
from stbench.report.section import Report
from stbench.report.tidy import summary_csv, to_csv
from stbench.schema.folder import write_text


class Format(StrEnum):
    """What a report can be written as."""

    MD = "md"
    CSV = "csv"
    LATEX = "latex"
    HTML = "html"
    PNG = "png"


def produce(report: Report, out: Path, formats: Collection[Format]) -> list[Path]:
    """Write the report into a folder and return the files; pictures first, since the Markdown shows them."""
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if Format.PNG in formats:
        from stbench.report.figures import draw_all

        written += draw_all(report, out / "figures")
    texts: dict[str, str] = {}
    if Format.MD in formats:
        pictures = [path.relative_to(out).as_posix() for path in written if path.suffix == ".png"]
        texts["report.md"] = to_markdown(report, out, pictures)
    if Format.CSV in formats:
        texts |= {"runs.csv": to_csv(report.records), "summary.csv": summary_csv(report.sections)}
    if Format.LATEX in formats:
        texts |= {"table.tex": to_latex(report, out), "report.tex": DOCUMENT}
    if Format.HTML in formats:
        from stbench.report.html import to_html

        texts["report.html"] = to_html(report, out)
    for name, text in texts.items():
        write_text(out / name, text)
    return [*(out / name for name in texts), *written]
