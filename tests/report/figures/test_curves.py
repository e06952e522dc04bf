"""Training curves: whatever the layout, each panel says what its axis shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from stbench.report.analysis.table import make_tables
from stbench.report.figures import curves
from tests.report.runs import make_run, make_spec


@pytest.mark.parametrize("counted", [True, False], ids=["with MACs", "without"])
@pytest.mark.parametrize("methods", [2, 12])
def test_every_panel_has_a_label_and_numbers_on_its_axis(
    methods: int, counted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = []
    for number in range(methods):
        record = make_run(tmp_path, make_spec(f"method{number}"), np.full((4, 3), 1.0 + number))
        epoch = {"train_seconds": 2.0, "val_mse_frame": 1.0 + number, "train_loss": 1.0}
        record.folder.write_history(
            [{"epoch": e, **epoch, **({"macs": 1e9 * (e + 1)} if counted else {})} for e in range(3)]
        )
        records.append(record)
    seen: list[tuple[list[str], list[int]]] = []

    def look(figure: Figure, *_: Any) -> Iterable[Path]:
        figure.canvas.draw()
        drawn = [axes for axes in figure.axes if axes.lines]
        numbers = [sum(bool(tick.get_text()) and tick.get_visible() for tick in a.get_xticklabels()) for a in drawn]
        seen.append(([axes.get_xlabel() if axes.xaxis.label.get_visible() else "" for axes in drawn], numbers))
        return []

    monkeypatch.setattr(curves, "save", look)
    curves.draw_curves(make_tables(records)[0], tmp_path / "1-toy")
    ((labels, numbers),) = seen
    assert labels == ["epoch", "training seconds", *(["training MACs"] if counted else [])]
    assert min(numbers) > 1
