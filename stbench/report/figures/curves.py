"""Training curves: validation error against epochs and against the clock."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from stbench.report.figures.style import look, new_figure, plain_log, save, short, styled
from stbench.report.records import RunRecord
from stbench.report.table import Table

COLUMNS = ("row", "seed", "epoch", "train_seconds", "val_mse_frame", "train_loss")


@dataclass(frozen=True)
class Curve:
    """One run: its epochs from 1, seconds of training so far, validation error and training loss."""

    epochs: list[int]
    seconds: list[float]
    errors: list[float]
    losses: list[float]


def read_curve(record: RunRecord) -> Curve | None:
    """The run's history; None where it has none (failed runs have what they got to)."""
    try:
        history = record.folder.history()
        epochs = [int(epoch["epoch"]) + 1 for epoch in history]
        seconds = list(accumulate(float(epoch["train_seconds"]) for epoch in history))
        errors = [float(epoch["val_mse_frame"]) for epoch in history]
        losses = [float(epoch["train_loss"]) for epoch in history]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Curve(epochs, seconds, errors, losses) if epochs else None


def draw_curves(table: Table, stem: Path) -> list[Path]:
    """Validation MSE of every seed against epoch (left) and wall-clock training time (right)."""
    curves = [
        (index, row.label, record.spec.seed, curve)
        for index, row in enumerate(table.rows)
        for record in row.runs
        if (curve := read_curve(record)) is not None
    ]
    if not curves:
        return []
    with styled():
        figure = new_figure(2.7)
        by_epoch, by_clock = figure.subplots(1, 2, sharey=True)
        named: set[int] = set()
        for index, _, _, curve in curves:
            style = {**look(index), "markersize": 2.5, "alpha": 0.85, "linewidth": 1}
            label = None if index in named else short(table.rows[index])
            named.add(index)
            by_epoch.plot(curve.epochs, curve.errors, label=label, **style)
            by_clock.plot([s / 60 for s in curve.seconds], curve.errors, **style)
        by_epoch.set(xlabel="epoch", ylabel="validation mse_frame (log)", yscale="log")
        plain_log(by_epoch.yaxis)
        by_epoch.xaxis.get_major_locator().set_params(integer=True)
        by_clock.set(xlabel="training minutes")
        figure.legend(loc="outside lower center", ncols=1)
        lines = [
            [label, seed, *values]
            for _, label, seed, curve in curves
            for values in zip(curve.epochs, curve.seconds, curve.errors, curve.losses, strict=True)
        ]
        return save(figure, stem.with_name(f"{stem.name}-curves.png"), COLUMNS, lines)
