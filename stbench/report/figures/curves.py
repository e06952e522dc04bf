"""Training curves: validation error against epochs, wall-clock time and multiply-adds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stbench.report.analysis.table import Table
from stbench.report.collect.records import RunRecord
from stbench.report.figures.style import (
    MOST_IN_A_COLUMN,
    legend_below,
    look,
    new_figure,
    plain_log,
    prefixed,
    save,
    short,
    styled,
    width_for,
)

COLUMNS = ("row", "seed", "epoch", "train_seconds", "train_macs", "val_mse_frame", "train_loss")


@dataclass(frozen=True)
class Curve:
    """A run by epoch, from 1: cumulative training seconds and multiply-adds, validation error, loss.

    ``macs`` is None if they were not counted.
    """

    epochs: list[int]
    seconds: list[float]
    macs: list[float] | None
    errors: list[float]
    losses: list[float]


def read_curve(record: RunRecord) -> Curve | None:
    """Return the run's history, or None; failed runs have a partial one."""
    try:
        history = record.folder.history()
        return Curve(
            epochs=[int(epoch["epoch"]) + 1 for epoch in history],
            seconds=list(accumulate(float(epoch["train_seconds"]) for epoch in history)),
            macs=[float(epoch["macs"]) for epoch in history] if all("macs" in epoch for epoch in history) else None,
            errors=[float(epoch["val_mse_frame"]) for epoch in history],
            losses=[float(epoch["train_loss"]) for epoch in history],
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):  # an infinite epoch, say
        return None


def draw_curves(table: Table, stem: Path) -> list[Path]:
    """Draw the validation MSE of every seed against epoch, training time and, if counted, multiply-adds."""
    curves = [
        (index, record.spec.seed, curve)
        for index, row in enumerate(table.rows)
        for record in row.runs
        if (curve := read_curve(record)) is not None and curve.epochs
    ]
    if not curves:
        return []
    counted = any(curve.macs is not None for _, _, curve in curves)
    with styled():
        entries = _entries(table, [index for index, _, _ in curves])
        beside = counted and len(entries) <= MOST_IN_A_COLUMN
        figure = new_figure(3.9 if beside else 1.9, width=width_for(len(entries)))
        layout = (2, 2) if beside else (1, 3 if counted else 2)
        panels = figure.subplots(*layout, sharey=True, squeeze=False).ravel().tolist()
        unit, unit_name = _clock(max(curve.seconds[-1] for _, _, curve in curves))
        for index, _, curve in curves:
            _draw(panels, curve, unit, look(index))
        _label(panels, unit_name)
        if beside:
            panels[-1].set_axis_off()
            panels[-1].legend(handles=entries, loc="center left")
        else:
            legend_below(figure, entries)
        lines = [line for index, seed, curve in curves for line in _lines(table.rows[index].label, seed, curve)]
        return save(figure, stem.with_name(f"{stem.name}-curves.png"), COLUMNS, lines)


def _draw(panels: Sequence[Axes], curve: Curve, unit: float, appearance: dict[str, Any]) -> None:
    style = {**appearance, "markersize": 2.5, "alpha": 0.85, "linewidth": 1}
    panels[0].plot(curve.epochs, curve.errors, **style)
    panels[1].plot([s / unit for s in curve.seconds], curve.errors, **style)
    if curve.macs is not None:
        panels[2].plot(curve.macs, curve.errors, **style)


def _clock(longest: float) -> tuple[float, str]:
    """Return the time unit for the longest training: its seconds and its name."""
    if longest < 120:
        return 1.0, "seconds"
    return (60.0, "minutes") if longest < 7200 else (3600.0, "hours")


def _label(panels: Sequence[Axes], unit_name: str) -> None:
    panels[0].set(xlabel="epoch", yscale="log")
    panels[0].locator_params(axis="x", integer=True)
    panels[1].set(xlabel=f"training {unit_name}", xlim=(0, None))
    for axes in panels:
        plain_log(axes.yaxis)
        place = axes.get_subplotspec()
        if place is not None and place.is_first_col():
            axes.set_ylabel("validation\nmse_frame (log)")
        else:
            axes.tick_params(axis="y", labelleft=False)
    if len(panels) > 2:
        panels[2].set(xlabel="training MACs", xlim=(0, None))
        prefixed(panels[2].xaxis)


def _entries(table: Table, indices: Sequence[int]) -> list[Line2D]:
    """Return one legend entry per row."""
    return [Line2D([], [], label=short(table.rows[index], 24), **look(index)) for index in dict.fromkeys(indices)]


def _lines(label: str, seed: int, curve: Curve) -> Iterable[list[object]]:
    macs: Sequence[object] = curve.macs or [""] * len(curve.epochs)
    for values in zip(curve.epochs, curve.seconds, macs, curve.errors, curve.losses, strict=True):
        yield [label, seed, *values]
