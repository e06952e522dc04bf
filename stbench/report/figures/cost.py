"""Accuracy against cost; a bubble's area grows with the parameters."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes

from stbench.report.figures.style import look, new_figure, plain_log, save, short, styled, unit
from stbench.report.format import format_count
from stbench.report.table import Row, Table

COLUMNS = ("row", "metric", "mean", "std", "n", "seconds_per_epoch", "parameters")


def draw_cost(table: Table, stem: Path) -> list[Path]:
    """Mean of the first metric against training seconds per epoch; rows without training are lines."""
    metric = table.metrics[0]
    rows = [row for row in table.rows if metric in row.cells and math.isfinite(row.cells[metric].mean)]
    if not rows:
        return []
    with styled():
        figure = new_figure(2.9)
        axes = figure.add_subplot()
        for row in rows:
            _draw(axes, row, metric, table.rows.index(row))
        if any(row.seconds_per_epoch is not None for row in rows):
            axes.set_xscale("log")
            plain_log(axes.xaxis)
        axes.set_xlabel("training seconds per epoch (log)")
        axes.set_ylabel(unit(metric))
        axes.margins(x=0.18, y=0.15)
        figure.legend(loc="outside lower center", ncols=1, markerscale=1)
        return save(figure, stem.with_name(f"{stem.name}-cost.png"), COLUMNS, [_line(row, metric) for row in rows])


def _draw(axes: Axes, row: Row, metric: str, index: int) -> None:
    cell, style = row.cells[metric], look(index)
    label = f"{short(row)}, {format_count(row.parameters)}"
    if row.seconds_per_epoch is None:
        axes.axhline(cell.mean, color=style["color"], linestyle="--", linewidth=1, label=f"{short(row)} (untrained)")
        return
    seconds = row.seconds_per_epoch.mean
    if cell.std is not None:
        axes.errorbar(seconds, cell.mean, yerr=cell.std, color=style["color"], capsize=2, linewidth=0.8)
    area = 25 * (1 + math.log10(max(row.parameters, 1e3) / 1e3)) ** 1.5
    axes.scatter(
        seconds,
        cell.mean,
        s=area,
        color=style["color"],
        marker=style["marker"],
        alpha=0.8,
        edgecolors="white",
        label=label,
    )


def _line(row: Row, metric: str) -> list[object]:
    cell = row.cells[metric]
    seconds = "" if row.seconds_per_epoch is None else repr(row.seconds_per_epoch.mean)
    return [
        row.label,
        metric,
        repr(cell.mean),
        "" if cell.std is None else repr(cell.std),
        cell.n,
        seconds,
        row.parameters,
    ]
