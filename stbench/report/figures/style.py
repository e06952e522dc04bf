"""One look for all figures: column width, a palette that colour-blind readers can tell apart, markers besides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from stbench.report.format import arrow
from stbench.report.table import Row
from stbench.report.tidy import as_csv
from stbench.schema.folder import write_text, write_with

COLUMN = 3.5
"""Width of a journal's column in inches."""
DPI = 250
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7F00")
"""Okabe and Ito's colours, the yellow darkened to be read on white."""
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")

STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
}


def styled() -> AbstractContextManager[None]:
    """The look, for as long as the block runs."""
    return mpl.rc_context(cast("Any", STYLE))


def new_figure(height: float, *, width: float = COLUMN) -> Figure:
    """An empty figure outside any window system."""
    with styled():
        return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dash of the row with this number; colours come again with another dash."""
    turn = index // len(PALETTE)
    return {
        "color": PALETTE[index % len(PALETTE)],
        "marker": MARKERS[(index + turn) % len(MARKERS)],
        "linestyle": DASHES[turn % len(DASHES)],
    }


def save(figure: Figure, path: Path, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> list[Path]:
    """Write the picture and, beside it, its numbers."""
    with styled():
        write_with(path, lambda temporary: figure.savefig(temporary, format="png"))
    numbers = path.with_suffix(".csv")
    write_text(numbers, as_csv(columns, lines))
    return [path, numbers]


def plain_log(axis: Axis) -> None:
    """Tick labels of a logarithmic axis as plain numbers."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))


def short(row: Row, length: int = 44) -> str:
    """A row's name, cut where it would not fit."""
    return row.label if len(row.label) <= length else f"{row.label[: length - 1]}…"


def unit(metric: str) -> str:
    """A metric's name with the direction of improvement, for an axis."""
    return f"{metric} {arrow(metric)}"
