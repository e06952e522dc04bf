"""Loggers of tools for live curves, read with each tool's own reader: every point once, whatever was killed."""

import csv
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from stbench.conformance.sweeps import baseline_specs
from stbench.errors import UserError
from stbench.events import LOGGERS, SweepListener
from stbench.loggers import mirror
from stbench.schema import RunResult, RunSpec, Score
from stbench.schema.folder import RunFolder
from stbench.schema.lines import CURVE
from stbench.train import loop
from stbench.train.engine import Engine
from tests.cli.commands import TINY_CONVLSTM, command, stbench
from tests.train.test_curve import kill
from tests.train.tiny import make_trainer, tiny_training

Values = dict[str, list[tuple[int, float]]]


def of_tensorboard(out: Path, spec: RunSpec) -> tuple[Values, int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard" / spec.folder), {"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    values = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]}
    return values, sum(len(events.Images(tag)) for tag in tags["images"])


def of_mlflow(out: Path, spec: RunSpec) -> tuple[Values, int]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{out}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name(f"{spec.benchmark}/{spec.protocol}")
    (run,) = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    assert run.data.params["seed"] == str(spec.seed)
    values = {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    return values, len(client.list_artifacts(run.info.run_id, "samples"))


def of_wandb(out: Path, spec: RunSpec) -> tuple[Values, int]:
    """The newest folder of an offline run holds the whole curve."""
    from wandb.proto import wandb_internal_pb2

    newest = max((out / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime_ns)
    values: Values = {}
    for data in log_records(newest.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for key, value in row.items():
            if key.startswith(("step/", "epoch/", "test/")):
                values.setdefault(key, []).append((int(row["_step"]), value))
    return values, len(list(newest.parent.glob("files/media/images/samples/*.png")))


def log_records(content: bytes) -> list[bytes]:
    """Records of a LevelDB log: blocks of 32 KiB with parts (checksum, length, kind, data), after a header."""
    records, parts, place = [], b"", 7
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(parts)
            parts = b""
    return records


READERS: dict[str, Callable[[Path, RunSpec], tuple[Values, int]]] = {
    "tensorboard": of_tensorboard,
    "mlflow": of_mlflow,
    "wandb": of_wandb,
}
TOOLS = [pytest.param("tensorboard"), *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlflow", "wandb"))]


def logger_of(tool: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> SweepListener:
    pytest.importorskip(tool, reason=f"needs {tool}: pip install 'stbench[{tool}]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return LOGGERS.get(tool)(out)


def a_result(spec: RunSpec, folder: Path) -> RunResult:
    """Two scores, and sample clips on the disk."""
    lengths = {"past": spec.shape.t_in, "future": spec.shape.t_out, "prediction": spec.shape.t_out}
    clips = {name: np.random.default_rng(0).random((3, t, *spec.shape.frame)) for name, t in lengths.items()}
    np.savez(folder / "samples.npz", index=np.arange(3), **clips)
    test = {name: Score(total=total, lead_times=(total,)) for name, total in (("mse_frame", 0.5), ("psnr", 20.0))}
    known = {key: getattr(spec, key) for key in ("run_id", "method", "benchmark", "protocol", "seed")}
    return RunResult(**known, status="finished", test=test, finished_at="now")


def expected(folder: Path) -> Values:
    """What the run folder holds, each point once."""
    values: Values = {}
    for kind, file in (("step", CURVE), ("epoch", "history.jsonl")):
        for line in map(json.loads, (folder / file).read_text().splitlines()):
            for key in line.keys() - {"curve", "step", "epoch"}:
                values.setdefault(f"{kind}/{key}", []).append((line["step"], line[key]))
    return values


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("killed_before", [3, 8])
def test_a_killed_and_resumed_run_shows_every_point_once(
    tool: str, killed_before: int, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    spec = baseline_specs()[0]
    folder = tmp_path / "runs" / spec.folder
    first = logger_of(tool, tmp_path, monkeypatch).run_listener(spec, 1, 1)
    kill(make_trainer(folder, engine, tiny_training(), listener=first), killed_before, monkeypatch)
    if tool == "wandb":  # its service dies with the process that used it
        pytest.importorskip("wandb").teardown()
    logger = LOGGERS.get(tool)(tmp_path)
    make_trainer(folder, engine, tiny_training(), listener=logger.run_listener(spec, 1, 1)).run()
    result = a_result(spec, folder)
    logger.run_done(spec, "finished", result)
    logger.close()

    again = LOGGERS.get(tool)(tmp_path)  # a repeated command finds the run done and the copy complete
    files = sum(path.is_file() for path in tmp_path.rglob("*"))
    again.run_done(spec, "already done", result)
    again.close()
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == files

    values, pictures = READERS[tool](tmp_path, spec)
    assert pictures == 2
    assert values.pop("test/mse_frame") == [(20, pytest.approx(0.5))]
    assert values.pop("test/psnr") == [(20, pytest.approx(20.0))]
    wanted = expected(folder)
    assert [step for step, _ in wanted["step/train_loss"]] == list(range(1, 21))
    assert values.keys() == wanted.keys()
    for name, points in wanted.items():
        assert [step for step, _ in values[name]] == [step for step, _ in points], name
        assert [value for _, value in values[name]] == pytest.approx([value for _, value in points], rel=1e-6), name


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "type[Fake]":
    monkeypatch.setattr(Fake, "rows", {})
    monkeypatch.setattr(Fake, "away", False)
    return Fake


class Fake(mirror.MirrorLogger, mirror.Sink):
    """A tool in memory that may be away."""

    name = "fake"
    package = "json"
    rows: ClassVar[dict[tuple[int, str], float]] = {}
    away = False

    def open(self, spec: RunSpec, curve: str) -> mirror.Sink:
        self.known, self.floor = {}, -1
        for step, name in self.rows:
            self.known[name] = max(step, self.known.get(name, -1))
        return self

    def values(self, step: int, values: Any) -> None:
        if self.away:
            raise ConnectionError("nobody answers")
        for name, value in values.items():
            assert (step, name) not in self.rows, "sent twice"
            self.rows[step, name] = value

    def picture(self, step: int, name: str, picture: Any) -> None:
        shape = baseline_specs()[0].shape
        assert picture.shape == (2 * shape.height + 2, shape.length * shape.width + 2 * (shape.length - 1), 3)

    def close(self, outcome: Any = None) -> None:
        super().close() if outcome is None and self._runs else None


def test_a_tool_that_is_away_stops_no_run_and_gets_all_later(
    shown: type[Fake], tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = baseline_specs()[0]
    folder = tmp_path / "runs" / spec.folder
    logger = shown(tmp_path)
    monkeypatch.setattr(shown, "away", True)
    make_trainer(folder, engine, tiny_training(), listener=logger.run_listener(spec, 1, 1)).run()
    result = a_result(spec, folder)
    with pytest.warns(UserWarning, match=r"--log fake: .* is not complete \(nobody answers\)"):
        logger.run_done(spec, "finished", result)
    assert shown.rows == {}
    monkeypatch.setattr(shown, "away", False)
    shown(tmp_path).run_done(spec, "already done", result)
    assert {step for step, name in shown.rows if name == "step/train_loss"} == {1, 5, 10, 15, 20}
    assert shown.rows[20, "test/psnr"] == 20


def test_a_missing_tool_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "find_spec", lambda name: None)
    for tool in READERS:
        with pytest.raises(UserError, match=rf"--log {tool} needs {tool}: pip install 'stbench\[{tool}\]'"):
            LOGGERS.get(tool)(tmp_path)
    assert not os.listdir(tmp_path)  # noqa: PTH208 - nothing at all


@pytest.mark.slow
def test_a_command_killed_in_epoch_two_continues_its_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    arguments = ["run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(tmp_path), "--log", "tensorboard,csv"]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("runs/*convlstm*/history.jsonl")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = stbench(*arguments)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("runs/*convlstm*")
    values, pictures = of_tensorboard(tmp_path, RunFolder(folder).spec())
    wanted = expected(folder)
    assert len(wanted["step/train_loss"]) >= len(wanted["epoch/train_loss"]) > 1
    for name, points in wanted.items():
        assert [step for step, _ in values[name]] == [step for step, _ in points], name
    assert pictures == 2
    assert "test/mse_frame" in values
    rows = [row for row in csv.DictReader((tmp_path / "epochs.csv").open()) if row["run"] == folder.name]
    assert [int(row["step"]) for row in rows] == [step for step, _ in wanted["epoch/train_loss"]]
