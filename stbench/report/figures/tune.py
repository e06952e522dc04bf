"""The figure of a search: expected lowest validation error against the number of trials, for each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from stbench.report.analysis.expected import errors_of, expected_lowest
from stbench.report.encode import picture
from stbench.report.figures.style import legend_below, look, new_figure, plain_log, save, styled, width_for
from stbench.schema.trial import Tuned

COLUMNS = ("method", "trials", "expected_lowest", "low", "high", "lowest_in_order")
SEARCHED: dict[str, Any] = {"color": "#666666", "linestyle": ":", "drawstyle": "steps-post", "linewidth": 1}


def draw_search(tuned: Tuned, path: Path) -> list[Path]:
    """Draw the expected lowest error with its band, dotted the lowest in the order of the search; return the files.

    Nothing is drawn if no method has a trial with an error.
    """
    lines: list[list[object]] = []
    entries: list[Line2D] = []
    with styled():
        figure = new_figure(2.3, width=width_for(len(tuned.methods)))
        axes = figure.subplots()
        for index, method in enumerate(tuned.methods):
            errors = errors_of(tuned.of(method))
            if not errors:
                continue
            numbers, expected = range(1, len(errors) + 1), expected_lowest(errors)
            in_order = np.minimum.accumulate(errors)
            appearance = look(index)
            axes.plot(numbers, expected.mean, **appearance, markersize=3)
            axes.fill_between(numbers, expected.low, expected.high, color=appearance["color"], alpha=0.15, linewidth=0)
            axes.plot(numbers, in_order, **{**SEARCHED, "color": appearance["color"]})
            entries.append(Line2D([], [], label=picture(method), **appearance))
            columns = (numbers, expected.mean, expected.low, expected.high, in_order)
            lines += [[method, *map(float, values)] for values in zip(*columns, strict=True)]
        if not entries:
            return []
        axes.set(xlabel="trials", ylabel=f"expected lowest\nvalidation {tuned.metric} (log)", yscale="log")
        axes.locator_params(axis="x", integer=True)
        plain_log(axes.yaxis)
        legend_below(
            figure, [*entries, Line2D([], [], label="dotted: lowest so far in the search's order", **SEARCHED)]
        )
        return save(figure, path, COLUMNS, lines)
