"""The training curve in the run folder: its points, and that a killed and resumed run has each of them once."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from stbench.schema.lines import CURVE, GrowingLines
from stbench.train import loop
from stbench.train.engine import Engine
from tests.train.tiny import make_trainer, tiny_training


def points(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / CURVE).read_text().splitlines()]
    assert [list(line) for line in lines if "curve" in line] == [["curve"]]
    return lines[1:]


def kill(trainer: loop.Trainer, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End training before a step (from 0), without a word to anybody."""
    calls = itertools.count(trainer.state.step)

    def rate(since: float, known: Any = trainer._next_rate) -> Any:
        if next(calls) == step:
            raise SystemExit("killed")
        return known(since)

    monkeypatch.setattr(trainer, "_next_rate", rate)
    with pytest.raises(SystemExit):
        trainer.run()


def test_points_are_losses_of_single_steps(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The means of an epoch's points are the epoch's means, where every step is a point."""
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    history = make_trainer(tmp_path, engine, tiny_training()).run().history
    found = points(tmp_path)
    assert [point["step"] for point in found] == list(range(1, 21))
    for record in history:
        epoch = [point for point in found if point["epoch"] == record["epoch"]]
        for term in ("train_loss", "train_mse"):
            assert sum(point[term] for point in epoch) / 5 == pytest.approx(record[term], rel=1e-12)
        assert epoch[-1]["lr"] == record["lr"]


def test_points_lie_on_the_same_steps_in_every_run(tmp_path: Path, engine: Engine) -> None:
    make_trainer(tmp_path, engine, tiny_training()).run()
    assert [point["step"] for point in points(tmp_path)] == [1, 5, 10, 15, 20]  # the first, and each epoch's last


@pytest.mark.parametrize("step", [3, 8, 10])
def test_a_killed_run_has_every_point_once(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    make_trainer(tmp_path / "whole", engine, tiny_training()).run()
    kill(make_trainer(tmp_path / "cut", engine, tiny_training()), step, monkeypatch)
    assert [point["step"] for point in points(tmp_path / "cut")] == list(range(1, step + 1))
    make_trainer(tmp_path / "cut", engine, tiny_training()).run()
    assert (tmp_path / "cut" / CURVE).read_bytes() == (tmp_path / "whole" / CURVE).read_bytes()


def test_lines_that_grow_are_read_once(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    lines = GrowingLines(file)
    assert lines.new() == []
    file.write_text('{"a": 1}\n{"a": ')
    assert lines.new() == [{"a": 1}]
    assert lines.new() == []
    with file.open("a") as stream:
        stream.write('2}\n{"a": 3}\n')
    assert lines.new() == [{"a": 2}, {"a": 3}]
    (tmp_path / "other").write_text('{"a": 1}\n')
    (tmp_path / "other").replace(file)
    assert lines.new() == [{"a": 1}]
