"""Accuracy against training time and multiply-adds; the area of a bubble grows with the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stbench.report.analysis.table import Row, Table
from stbench.report.figures.style import (
    MOST_IN_A_COLUMN,
    legend_below,
    look,
    new_figure,
    prefixed,
    save,
    short,
    styled,
    unit,
    width_for,
)
from stbench.report.numbers import format_count

COLUMNS = ("row", "metric", "mean", "std", "n", "seconds_per_epoch", "macs", "parameters")
MARKER = 6.0
ROOM = 1.5
"""Margin beside the outermost bubbles, as a factor on the logarithmic axis."""


def draw_cost(table: Table, stem: Path) -> list[Path]:
    """Draw the mean of the first metric against seconds per epoch and MACs per clip; untrained rows are lines."""
    metric = table.metrics[0]
    rows = [row for row in table.rows if metric in row.cells and math.isfinite(row.cells[metric].mean)]
    if not rows:
        return []
    panels = [(name, cost) for name, cost in _COSTS if any(cost(row) for row in rows)] or [_COSTS[0]]
    with styled():
        figure = new_figure(2.1 if len(rows) <= MOST_IN_A_COLUMN else 3.2, width=width_for(len(rows)))
        for number, (name, cost) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            _panel(axes, table, rows, metric, cost)
            axes.set_xlabel(name)
            axes.label_outer(remove_inner_ticks=True)
        figure.axes[0].set_ylabel(unit(metric))
        entries = [_entry(row, table.rows.index(row)) for row in rows]
        legend_below(figure, entries)
        return save(figure, stem.with_name(f"{stem.name}-cost.png"), COLUMNS, [_line(row, metric) for row in rows])


def _seconds(row: Row) -> float | None:
    return None if row.seconds_per_epoch is None else row.seconds_per_epoch.mean


def _macs(row: Row) -> float | None:
    return row.macs if row.trained else None


_COSTS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("training s/epoch (log)", _seconds),
    ("MACs per clip (log)", _macs),
)


def _panel(axes: Axes, table: Table, rows: list[Row], metric: str, cost: Callable[[Row], float | None]) -> None:
    known = [value for row in rows if (value := cost(row))]
    for row in rows:
        _draw(axes, row, metric, cost(row), table.rows.index(row))
    if known:
        axes.set_xscale("log")
        axes.set_xlim(min(known) / ROOM, max(known) * ROOM)
        prefixed(axes.xaxis)
    axes.margins(y=0.15)


def _draw(axes: Axes, row: Row, metric: str, cost: float | None, index: int) -> None:
    cell, style = row.cells[metric], look(index)
    if not row.trained:
        axes.axhline(cell.mean, color=style["color"], linestyle="--", linewidth=1)
    if not row.trained or not cost:
        return
    area = 25 * (1 + math.log10(max(row.parameters, 1e3) / 1e3)) ** 1.5
    drawn = {"color": style["color"], "marker": style["marker"], "alpha": 0.8, "edgecolors": "white"}
    axes.scatter(cost, cell.mean, s=area, zorder=2, **drawn)
    if cell.std is not None:
        axes.errorbar(cost, cell.mean, yerr=cell.std, color="#222222", capsize=2, linewidth=0.8, zorder=3)


def _entry(row: Row, index: int) -> Line2D:
    """Return a legend entry with a marker of fixed size and the number of parameters."""
    style = look(index)
    if not row.trained:
        return Line2D([], [], color=style["color"], linestyle="--", label=f"{short(row)} (untrained)")
    label = f"{short(row)}, {format_count(row.parameters)} parameters"
    marker = {"marker": style["marker"], "markersize": MARKER, "markeredgecolor": "white"}
    return Line2D([], [], color=style["color"], linestyle="none", label=label, **marker)


def _line(row: Row, metric: str) -> list[object]:
    cell, seconds = row.cells[metric], _seconds(row)
    std = "" if cell.std is None else repr(cell.std)
    costs = ["" if value is None else repr(value) for value in (seconds, row.macs)]
    return [row.label, metric, repr(cell.mean), std, cell.n, *costs, row.parameters]
