"""Common style of all figures: column width, a palette for colour-blind readers, markers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogFormatter, MaxNLocator, NullLocator

from stbench.report.analysis.table import Row
from stbench.report.encode import picture
from stbench.report.numbers import arrow, format_large
from stbench.report.writers.csv import as_csv
from stbench.schema.folder import write_text, write_with

COLUMN = 3.5
"""Width of a journal's column in inches."""
PAGE = 7.2
"""Width of a journal's page in inches, for figures of more than :data:`MOST_IN_A_COLUMN` rows."""
MOST_IN_A_COLUMN = 10
DPI = 250
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7F00")
"""Okabe and Ito's colours, with a darker yellow for white backgrounds."""
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")

_PICTURES: ContextVar[bool] = ContextVar("pictures", default=True)

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
    """Apply the style within a block."""
    return mpl.rc_context(cast("Any", STYLE))


def width_for(rows: int) -> float:
    """Return the width of a figure of a table with so many rows."""
    return COLUMN if rows <= MOST_IN_A_COLUMN else PAGE


def new_figure(height: float, *, width: float = COLUMN) -> Figure:
    """Return an empty figure that needs no window system; :func:`legend_below` adds to its height."""
    with styled():
        return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def look(index: int) -> dict[str, Any]:
    """Return colour, marker and dash of a row by number; colours repeat with another dash."""
    turn = index // len(PALETTE)
    return {
        "color": PALETTE[index % len(PALETTE)],
        "marker": MARKERS[(index + turn) % len(MARKERS)],
        "linestyle": DASHES[turn % len(DASHES)],
    }


def legend_below(figure: Figure, handles: Sequence[Artist] | None = None, title: str | None = None) -> None:
    """Put the legend below the panels, in as many columns as fit, and make the figure higher by what it takes.

    ``handles``: its entries; by default the labelled ones of the first panel.
    """
    entries = handles or figure.axes[0].get_legend_handles_labels()[0]
    renderer = cast("Any", FigureCanvasAgg(figure)).get_renderer()
    for columns in (4, 3, 2, 1) if len(entries) > MOST_IN_A_COLUMN else (1,):
        legend = figure.legend(handles=entries, loc="outside lower center", ncols=columns, title=title)
        size = legend.get_window_extent(renderer)
        if columns == 1 or size.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + size.height / figure.dpi)


@contextmanager
def numbers_only() -> Iterator[None]:
    """Within this block, figures write their numbers and no picture, which takes most of the time."""
    token = _PICTURES.set(False)
    try:
        yield
    finally:
        _PICTURES.reset(token)


def pictures_wanted() -> bool:
    """Return whether pictures are written; not within :func:`numbers_only`."""
    return _PICTURES.get()


def save(figure: Figure, path: Path, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> list[Path]:
    """Save the picture and, beside it, its numbers as CSV."""
    if pictures_wanted():
        with styled():
            write_with(path, lambda temporary: figure.savefig(temporary, format="png"))
    numbers = path.with_suffix(".csv")
    write_text(numbers, as_csv(columns, lines))
    return [path, numbers]


def plain_log(axis: Axis) -> None:
    """Label the ticks of a logarithmic axis with plain numbers."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))


def prefixed(axis: Axis) -> None:
    """Set a few tick labels with decimal prefixes (200 M), at round numbers on a logarithmic axis."""
    if axis.get_scale() == "log":
        axis.set_major_locator(FixedLocator(log_ticks(*axis.get_view_interval())))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(3))
    axis.set_major_formatter(lambda value, _place: format_large(value))


def log_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return the densest of four sets of round numbers with at most ``most`` between two positive limits.

    >>> log_ticks(2.1, 4.9), log_ticks(0.5, 60), log_ticks(1, 1e8)
    ([3.0], [1.0, 3.0, 10.0, 30.0], [1.0, 100.0, 10000.0, 1000000.0, 100000000.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [float(f"{digit}e{power}") for power in powers for digit in digits]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= most:
            return found
    return found[:: -(-len(found) // (most + 1))]


def short(row: Row, length: int = 44) -> str:
    """Return a row's name, cut if it is too long."""
    return picture(row.label if len(row.label) <= length else f"{row.label[: length - 1]}…")


def unit(metric: str) -> str:
    """Return a metric's name with its direction of improvement, for an axis."""
    return f"{metric} {arrow(metric)}"
