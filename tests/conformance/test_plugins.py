"""The suites of metrics, optimisers and schedules: every shipped one passes, broken ones are told apart."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from stbench.conformance.plugins import KINDS, check_plugin
from stbench.metrics import METRICS, Metric
from stbench.schema import OPTIMIZERS, SCHEDULES, Optimizer, Parameters, Position, Rate, Schedule

SHIPPED = [(kind, name) for kind, suite in KINDS.items() for name in suite.registry.names()]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_plugin_passes(kind: str, name: str) -> None:
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
