"""Error by lead time with a confidence band, and skill against the reference row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from stbench.report.analysis.lead_time import Series, reference_row, series, skill
from stbench.report.analysis.table import Row, Table
from stbench.report.figures.style import legend_below, look, new_figure, save, short, styled, unit, width_for

COLUMNS = ("row", "metric", "lead_time", "mean", "low", "high", "skill")


def draw_lead_times(table: Table, stem: Path) -> list[Path]:
    """Draw the first metric at every lead time with a 95 % band and, below, 1 - error / reference error."""
    metric = table.metrics[0]
    known = {row.label: found for row in table.rows if (found := series(row, metric)) is not None}
    if not known:
        return []
    reference = reference_row(table)
    skills = (
        {} if reference is None else {r.label: skill(r, reference, metric) for r in table.rows if r is not reference}
    )
    with styled():
        two = any(values is not None for values in skills.values())
        figure = new_figure(3.3 if two else 1.9, width=width_for(len(known)))
        upper, lower = figure.subplots(2 if two else 1, 1, sharex=True, squeeze=False)[[0, -1], 0]
        for index, row in enumerate(table.rows):
            if row.label in known:
                _draw(upper, row, known[row.label], index, is_reference=row is reference)
            if two and (values := skills.get(row.label)) is not None:
                lower.plot(np.arange(1, len(values) + 1), values, **look(index))
        upper.set_ylabel(unit(metric))
        if two and reference is not None:
            lower.axhline(0, color="#444444", linewidth=0.8, linestyle="--")
            lower.set_ylabel(f"skill against\n{short(reference)}")
        lower.set_xlabel("lead time (frames)")
        lower.xaxis.get_major_locator().set_params(integer=True)
        noisy = any(_shows_test_noise(found) for found in known.values())
        legend_below(figure, title="* one seed: band of test noise only" if noisy else None)
        return save(figure, stem.with_name(f"{stem.name}-lead-time.png"), COLUMNS, _lines(metric, known, skills))


def _draw(axes: Axes, row: Row, found: Series, index: int, *, is_reference: bool) -> None:
    steps = np.arange(1, len(found.centre) + 1)
    style = look(index) | ({"linestyle": "--"} if is_reference else {})
    axes.plot(steps, found.centre, label=f"{short(row)}{' *' if _shows_test_noise(found) else ''}", **style)
    if found.low is not None and found.high is not None:
        axes.fill_between(steps, found.low, found.high, color=style["color"], alpha=0.18, linewidth=0)


def _shows_test_noise(found: Series) -> bool:
    return found.test_noise_only and found.low is not None


def _lines(metric: str, known: dict[str, Series], skills: Mapping[str, object]) -> list[list[object]]:
    lines: list[list[object]] = []
    for label, found in known.items():
        gains = skills.get(label)
        for step, centre in enumerate(found.centre):
            low = "" if found.low is None else repr(float(found.low[step]))
            high = "" if found.high is None else repr(float(found.high[step]))
            gain = repr(float(gains[step])) if isinstance(gains, np.ndarray) else ""
            lines.append([label, metric, step + 1, repr(float(centre)), low, high, gain])
    return lines
