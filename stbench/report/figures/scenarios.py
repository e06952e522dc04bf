"""One figure for each scenario: the metric against lead time, severity or time step, with 95 % bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stbench.report.analysis.scenarios import ScenarioTable
from stbench.report.analysis.table import Table
from stbench.report.encode import file_name, picture
from stbench.report.figures.style import legend_below, look, new_figure, save, short, styled, unit, width_for

COLUMNS = ("scenario", "metric", "row", "x", "score", "low", "high")


def draw_scenarios(table: Table, stem: Path) -> list[Path]:
    """Draw every scenario of a table in its first metric there."""
    written: list[Path] = []
    drawn: set[str] = set()
    for scenario in table.scenarios:
        if scenario.name not in drawn:
            drawn.add(scenario.name)
            written += _draw(scenario, stem.with_name(f"{stem.name}-{file_name(scenario.name)}.png"))
    return written


def _draw(scenario: ScenarioTable, path: Path) -> list[Path]:
    places = {row.label: place for place, row in enumerate(scenario.table.rows)}
    lines: list[list[object]] = []
    with styled():
        figure = new_figure(2.4, width=width_for(len(scenario.rows)))
        axes = figure.subplots()
        for row in scenario.rows:
            label, style = row.row.label, look(places[row.row.label])
            x, score, low, high = _points(scenario, label)
            axes.plot(x, score, label=short(row.row), **style)
            if not np.isnan(low).all():
                axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
            lines += [
                [scenario.name, scenario.metric, label, *map(repr, map(float, point))]
                for point in zip(x, score, low, high, strict=True)
            ]
        axes.set_title(picture(scenario.name))
        axes.set_ylabel(unit(scenario.metric))
        _label_axis(axes, scenario)
        legend_below(figure)
        return save(figure, path, COLUMNS, lines)


def _points(scenario: ScenarioTable, label: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Abscissa, score and its bounds (NaN where unknown)."""
    if scenario.is_rollout and label in scenario.lead_times:
        found = scenario.lead_times[label]
        missing = np.full(len(found.centre), np.nan)
        low = missing if found.low is None else found.low
        high = missing if found.high is None else found.high
        return np.arange(1, len(found.centre) + 1), found.centre, low, high
    row = next(row for row in scenario.rows if row.row.label == label)
    bounds = [[np.nan if x is None else x for x in (s.centre, s.low, s.high)] for s in row.scores]
    values = [column.value for column in scenario.columns]
    x = np.arange(len(values)) if None in values else np.array(values, dtype=float)
    score, low, high = np.array(bounds, dtype=float).T
    return x, score, low, high


def _label_axis(axes: Axes, scenario: ScenarioTable) -> None:
    if scenario.is_rollout:
        trained = scenario.table.spec.shape.t_out
        axes.axvline(trained + 0.5, color="#444444", linewidth=0.8, linestyle="--")
        axes.set_xlabel(f"lead time (frames); trained up to {trained}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    elif scenario.result.axis:
        axes.set_xlabel(scenario.result.axis)
        axes.set_xticks([column.value for column in scenario.columns if column.value is not None])
    else:
        axes.set_xticks(range(len(scenario.columns)), [picture(column.label) for column in scenario.columns])
        axes.margins(x=0.2)
