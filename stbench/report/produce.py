"""Writing of reports and profiles in the requested formats."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.report.analysis.section import Report
from stbench.report.encode import file_name
from stbench.report.writers.csv import summary_csv, to_csv
from stbench.report.writers.latex import DOCUMENT, sheet_latex, to_latex
from stbench.report.writers.markdown import to_markdown
from stbench.report.writers.profile import profile_csv, profile_markdown
from stbench.report.writers.profile_sheets import make_sheets
from stbench.report.writers.scenarios import scenarios_csv
from stbench.report.writers.tune import trials_csv, tuned_markdown
from stbench.schema.folder import write_text, write_with

if TYPE_CHECKING:
    from stbench.efficiency.records import Profile
    from stbench.schema.trial import Tuned


class Format(StrEnum):
    """Formats of a report."""

    MD = "md"
    CSV = "csv"
    LATEX = "latex"
    HTML = "html"
    PNG = "png"


def produce(report: Report, out: Path, formats: Collection[Format]) -> list[Path]:
    """Write the report into a folder and return the files; pictures come first, because Markdown links them."""
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
        if any(record.scenarios for record in report.records):
            texts["scenarios.csv"] = scenarios_csv(report.tables)
    if Format.LATEX in formats:
        texts |= {"table.tex": to_latex(report, out), "report.tex": DOCUMENT}
    if Format.HTML in formats:
        from stbench.report.writers.html import to_html

        texts["report.html"] = to_html(report, out)
    for name, text in texts.items():
        write_text(out / name, text)
    return [*(out / name for name in texts), *written]


def write_profile(profile: Profile, folder: Path) -> list[Path]:
    """Write ``<benchmark>-<protocol>-<hardware>`` as json, csv, md, tex and png; return the paths."""
    from stbench.report.figures.profile import draw

    stem = f"{file_name(profile.benchmark)}-{file_name(profile.protocol)}-{profile.key}"
    sheets = make_sheets(profile)
    texts = {
        "json": profile.model_dump_json(indent=2) + "\n",
        "csv": profile_csv(profile),
        "md": profile_markdown(profile, sheets),
        "tex": "\n".join(sheet_latex(sheet) for sheet in sheets),
    }
    for ending, text in texts.items():
        write_text(folder / f"{stem}.{ending}", text)
    write_with(folder / f"{stem}.png", lambda path: draw(profile, path))
    return [folder / f"{stem}.{ending}" for ending in (*texts, "png")]


def write_tuned(tuned: Tuned, folder: Path) -> list[Path]:
    """Write a search: ``best.md``, ``trials.csv``, ``tune.json``, and the figure ``expected.png`` with its numbers."""
    from stbench.report.figures.tune import draw_search

    drawn = draw_search(tuned, folder / "expected.png")
    texts = {
        "best.md": tuned_markdown(tuned, [path.name for path in drawn if path.suffix == ".png"]),
        "trials.csv": trials_csv(tuned),
        "tune.json": tuned.model_dump_json(indent=2) + "\n",
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [*(folder / name for name in texts), *drawn]
