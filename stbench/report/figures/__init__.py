"""Figures for print: one column wide, distinguishable without colour, each with its numbers as CSV."""

from __future__ import annotations

from pathlib import Path

from stbench.report.analysis.section import Report
from stbench.report.encode import file_name
from stbench.report.figures.clips import draw_gif, draw_strips
from stbench.report.figures.cost import draw_cost
from stbench.report.figures.curves import draw_curves
from stbench.report.figures.lead_times import draw_lead_times
from stbench.report.figures.scenarios import draw_scenarios
from stbench.report.figures.spectrum import draw_spectrum

__all__ = [
    "draw_all",
    "draw_cost",
    "draw_curves",
    "draw_gif",
    "draw_lead_times",
    "draw_scenarios",
    "draw_spectrum",
    "draw_strips",
]


def draw_all(report: Report, folder: Path) -> list[Path]:
    """Draw all figures of all tables; return the files, pictures and CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for number, table in enumerate(report.tables, start=1):
        spec = table.spec
        stem = folder / f"{number}-{file_name(spec.benchmark)}-{file_name(spec.protocol)}"
        for draw in (draw_cost, draw_lead_times, draw_curves, draw_spectrum, draw_scenarios, draw_strips, draw_gif):
            written += draw(table, stem)
    return written
