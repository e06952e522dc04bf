"""Events: the fan-out and the CSV logger."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stbench.errors import UserError
from stbench.events import LOGGERS, RunListener, SweepFanOut, SweepListener
from stbench.loggers.csv import COLUMNS, CsvLogger
from stbench.schema.folder import RunFolder

SPEC: Any = SimpleNamespace(folder="a-run", method="tau:no_sa", seed=3)


class Recorder(SweepListener, RunListener):
    def __init__(self, said: list[str], name: str) -> None:
        self.said, self.name = said, name

    def run_listener(self, spec: Any, number: int, runs: int) -> RunListener:
        self.said.append(f"{self.name} {number}/{runs}")
        return self

    def on_step(self, **values: Any) -> None:
        self.said.append(f"{self.name} step {values['step']}")

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        self.said.append(f"{self.name} epoch {record['epoch']}")

    def on_evaluate(self) -> None:
        self.said.append(f"{self.name} evaluate")

    def data_opened(self, report: str) -> None:
        self.said.append(f"{self.name} {report}")

    def run_done(self, spec: Any, outcome: Any, result: Any, note: str = "") -> None:
        self.said.append(f"{self.name} {outcome}{note}")

    def close(self) -> None:
        self.said.append(f"{self.name} closed")
        raise RuntimeError(self.name)


ROW = "b-run,tau,0,7,8,0.1,0.5,3.0,1.0"
"""A line of another run."""


def test_every_event_reaches_every_listener_in_order() -> None:
    said: list[str] = []
    both = SweepFanOut([Recorder(said, "a"), Recorder(said, "b")])
    both.data_opened("read")
    run = both.run_listener(SPEC, 1, 2)
    run.on_step(epoch=0, step=7, steps=9, loss=0.5, lr=0.1)
    run.on_epoch({"epoch": 0})
    run.on_evaluate()
    both.run_done(SPEC, "finished", None, "!")
    with pytest.raises(RuntimeError):
        both.close()
    events = ["read", "1/2", "step 7", "epoch 0", "evaluate", "finished!", "closed"]
    assert said == [f"{name} {event}" for event in events for name in "ab"]


def test_a_csv_logger_appends_a_line_per_epoch(tmp_path: Path) -> None:
    record = {"epoch": 0, "step": 5, "lr": 0.1, "train_loss": 2.0, "train_mse": 1.0, "val_mse_frame": 3.0}
    for epoch in range(2):  # two sweeps: the file goes on
        run = CsvLogger(tmp_path / "out").run_listener(SPEC, 1, 1)
        run.on_epoch({**record, "epoch": epoch, "train_seconds": 0.5})
        run.on_evaluate()
    with (tmp_path / "out" / "epochs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert rows[0]["run"] == "a-run"
    assert (rows[0]["method"], rows[0]["seed"], rows[0]["val_mse_frame"]) == ("tau:no_sa", "3", "3.0")


def test_csv_lines_are_those_of_the_run_folder(tmp_path: Path) -> None:
    """An epoch that nobody told of is added; those of a training that was given up for a new one go."""
    folder = RunFolder(tmp_path / "runs" / "a-run")
    folder.path.mkdir(parents=True)
    other: Any = SimpleNamespace(folder="b-run", method="tau", seed=0)

    def told(history: list[dict[str, Any]], spec: Any = SPEC) -> list[str]:
        folder.write_history(history)
        CsvLogger(tmp_path).run_listener(spec, 1, 1).on_epoch(history[-1])
        with (tmp_path / "epochs.csv").open() as stream:
            return [f"{row['run']} {row['epoch']} {row['train_loss']}" for row in csv.DictReader(stream)]

    epochs = [{"epoch": epoch, "step": 5 * epoch + 5, "train_loss": 0.5} for epoch in range(3)]
    assert told(epochs[:1]) == ["a-run 0 0.5"]
    assert told(epochs) == ["a-run 0 0.5", "a-run 1 0.5", "a-run 2 0.5"]
    CsvLogger(tmp_path).run_listener(other, 1, 1).on_epoch({"epoch": 0})
    assert told([{**epochs[0], "train_loss": 0.25}]) == ["b-run 0 ", "a-run 0 0.25"]


@pytest.mark.parametrize("left", ["", "run,method", f"{ROW}\n", f"{','.join(COLUMNS)}\n{ROW}\na-run,tau:no"])
def test_a_csv_file_cut_short_by_a_kill_is_mended(left: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "a-run")
    folder.path.mkdir(parents=True)
    (tmp_path / "epochs.csv").write_text(left)
    epochs = [{"epoch": epoch, "step": 5 * epoch + 5, "train_loss": 0.5} for epoch in range(2)]
    folder.write_history(epochs)
    CsvLogger(tmp_path).run_listener(SPEC, 1, 1).on_epoch(epochs[-1])
    with (tmp_path / "epochs.csv").open() as stream:
        rows = [f"{row['run']} {row['epoch']}" for row in csv.DictReader(stream)]
    assert rows == [*(["b-run 7"] if ROW in left else []), "a-run 0", "a-run 1"]


def test_loggers_are_found_by_name() -> None:
    assert LOGGERS.get("csv") is CsvLogger
    with pytest.raises(UserError, match=r"Did you mean 'csv'\?"):
        LOGGERS.get("cvs")
