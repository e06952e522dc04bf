"""The suites of every kind of plugin but methods: every shipped one passes, broken ones fail."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from stbench.conformance.plugins import KINDS, check_plugin
from stbench.evaluate.scenarios.scenario import SCENARIOS, Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import View
from stbench.events import LOGGERS, Outcome, SweepListener
from stbench.metrics import METRICS, Metric
from stbench.schema import (
    OPTIMIZERS,
    SCHEDULES,
    Optimizer,
    Parameters,
    Position,
    Rate,
    RunResult,
    RunSpec,
    Schedule,
)
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import EXECUTORS, Ended

SLOW = {"executors", "mlflow", "wandb"}  # their checks run sweeps, or open stores and services
SHIPPED = [
    pytest.param(kind, name, marks=pytest.mark.slow if {kind, name} & SLOW else ())
    for kind, suite in KINDS.items()
    for name in suite.registry.names()
]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_plugin_passes(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = getattr(KINDS[kind].registry.get(name), "package", None)  # of a logger's tool
    if package is not None:
        pytest.importorskip(package, reason=f"needs {package}: pip install 'stbench[{name}]'")
        monkeypatch.setenv("WANDB_MODE", "offline")
    verdict = check_plugin(kind, name)
    assert verdict.failures == ()
    assert len(verdict.outcomes) == len(KINDS[kind].checks)


def broken(registry: Any, name: str, plugin: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setitem(registry._loaded, name, plugin)
    return {outcome.check for outcome in check_plugin(kind, name).failures}


class OverBatch(Metric):
    def statistics(self, frames: Any) -> Tensor:
        error = (frames.pred_BTCHW - frames.true_BTCHW).abs().nan_to_num()
        return error.mean().expand(frames.pred_BTCHW.shape[:2])


def test_a_broken_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = OverBatch(name="over_batch", formula=" ", unit="model", lower_is_better=False)
    found = broken(METRICS, "over_batch", metric, "metrics", monkeypatch)
    assert found == {"declaration", "frames_are_independent", "direction", "undefined_shows"}


class Uphill(Optimizer):
    kind: Literal["uphill"] = "uphill"

    def build(self, parameters: Parameters, lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(list(parameters)[1:], lr=2 * lr, maximize=True)


def test_a_broken_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(OPTIMIZERS, "uphill", Uphill, "optimizers", monkeypatch) == {"parameters", "descent"}


class Counting(Schedule):
    kind: Literal["counting"] = "counting"

    def rate(self, position: Position) -> Rate:
        return Rate(position.peak * (1 + position.step))


def test_a_broken_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(SCHEDULES, "counting", Counting, "schedules", monkeypatch) == {"rates", "pace"}


class OneSweepOnly(SweepListener):
    """A file per sweep, which the next one deletes; failures go to the working folder."""

    def __init__(self, out: Path) -> None:
        for old in out.glob("*.log"):
            old.unlink()
        (out / f"{secrets.token_hex(4)}.log").write_text("started")

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        if outcome == "failed":
            Path("failed.txt").write_text(f"{spec.folder} {result} {note}")


class NeedsAResult(SweepListener):
    """Takes every run for a finished one, and lacks an event."""

    close = None  # type: ignore[assignment]

    def __init__(self, out: Path) -> None:
        pass

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        assert result is not None, note


def test_broken_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broken(LOGGERS, "one_sweep_only", OneSweepOnly, "loggers", monkeypatch)
    assert found == {"resumed_sweep", "below_the_output_folder"}
    found = broken(LOGGERS, "needs_a_result", NeedsAResult, "loggers", monkeypatch)
    assert found == {"declaration", "whole_sweep", "resumed_sweep", "below_the_output_folder"}


class Restless(Scenario):
    """Two cases of one label; the second shows other noise whenever it is asked."""

    kind: Literal["calm"] = "calm"

    def cases(self, run: Finished) -> Sequence[Case]:
        noisy = View(run.dataset.test, run.scored, change=lambda clips, _: clips + torch.rand_like(clips))
        return [Case("noise", None, with_test(run.dataset, noisy), run.spec.shape.t_out)] * 2


def test_a_broken_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(SCENARIOS, "restless", Restless, "scenarios", monkeypatch) == {"declaration", "cases", "draws"}


class Forgetful:
    """Says that it did the first run, and does none."""

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        yield Ended(specs[0], "finished", note=str(workplace.root))


@pytest.mark.slow
def test_a_broken_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broken(EXECUTORS, "forgetful", Forgetful, "executors", monkeypatch)
    assert found == {"every_run_once", "found_done", "same_numbers"}


class LinksItsNewest(SweepListener):
    """A file per sweep, and a link to the newest, which is shorter each time."""

    def __init__(self, out: Path) -> None:
        number = len(list(out.glob("*.log")))
        file = out / f"{number}.log"
        file.write_text("." * (9 - number))
        link = out / "newest"
        link.unlink(missing_ok=True)
        link.symlink_to(file.name)


def test_a_logger_may_keep_a_link_to_its_newest_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(LOGGERS, "links_its_newest", LinksItsNewest, "loggers", monkeypatch) == set()
