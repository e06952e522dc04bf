"""The cost of a plan: arithmetic on faked steps, what is timed and what is kept, and the question above two hours."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stbench.cli import costs as shown
from stbench.cli.display import SweepDisplay
from stbench.cli.launch import Order
from stbench.efficiency.macs import macs_of
from stbench.efficiency.memory import measure_step
from stbench.efficiency.records import StepCost
from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder
from stbench.settings import parse_override
from stbench.sweep import cost
from stbench.sweep.cost import Machine, run_costs, seconds_to_agree, total_seconds
from stbench.sweep.estimate import Duration
from stbench.sweep.experiment import Experiment
from stbench.sweep.plan import Request, make_plan

MACHINE = Machine(torch.device("cpu"), threads=1)
STEP = StepCost(seconds=4.0, peak=10**9)


def specs(*sets: str, seeds: tuple[int, ...] = (0,)) -> tuple[RunSpec, ...]:
    overrides = [parse_override(text) for text in ("convlstm.hidden=[2]", "epochs=10", "batch_size=8", *sets)]
    return make_plan(Request(["convlstm"], "moving_digits", "quick", seeds, overrides=overrides)).specs


def data(train: int, val: int, test: int) -> Callable[[RunSpec], Any]:
    return lambda _: SimpleNamespace(train=range(train), val=range(val), test=range(test))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RunSpec]:
    """Specs whose steps were timed; every step takes four seconds."""
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    asked: list[RunSpec] = []

    def measured(spec: RunSpec, **_: Any) -> StepCost:
        asked.append(spec)
        return STEP

    monkeypatch.setattr(cost, "measure_step", measured)
    monkeypatch.setattr(cost, "CHEAP_SECONDS", 60.0)
    return asked


def quiet(_: str) -> None:
    pass


def test_time_follows_steps_and_clips(timed: list[RunSpec], tmp_path: Path) -> None:
    """10 epochs of 1000 // 8 steps of 4 s; a predicted clip takes a third of an eighth of a step."""
    plan = specs("train_clips=null", "evaluation.val_clips=24", "evaluation.test_clips=null")
    (found,) = run_costs(plan, tmp_path, MACHINE, {}, data(1000, 500, 60), quiet)
    assert found.seconds == pytest.approx(10 * 125 * 4.0 + (10 * 24 + 60) * 4.0 / 24)
    assert (found.macs, found.step) == (macs_of(plan[-1]), STEP)


def test_a_configuration_is_timed_once_for_all_seeds_and_commands(timed: list[RunSpec], tmp_path: Path) -> None:
    plan, big = specs("train_clips=null", seeds=(0, 1, 2)), data(10**5, 8, 8)
    first = run_costs(plan, tmp_path, MACHINE, {}, big, quiet)
    assert len(first) == 3
    assert len(timed) == 1
    assert run_costs(plan, tmp_path, MACHINE, {}, big, quiet) == first
    assert len(timed) == 1
    run_costs(plan, tmp_path, replace(MACHINE, threads=2), {}, big, quiet)
    assert len(timed) == 2
    run_costs(specs("train_clips=null", "convlstm.hidden=[3]"), tmp_path, MACHINE, {}, big, quiet)
    assert len(timed) == 3


def test_what_needs_no_timing_is_not_timed(timed: list[RunSpec], tmp_path: Path) -> None:
    """Cheap plans, dry runs, budgets of time, runs known from finished ones, untrained methods."""
    small, big = data(16, 4, 4), data(10**5, 8, 8)
    assert [found.seconds for found in run_costs(specs(), tmp_path, MACHINE, {}, small, quiet)] == [None]
    plan = specs("train_clips=null")
    (dry,) = run_costs(plan, tmp_path, MACHINE, {}, None, quiet)
    assert (dry.macs, dry.seconds, dry.step) == (macs_of(plan[-1]), None, None)
    known = {plan[-1].folder: Duration("estimate", 99.0)}
    assert [found.seconds for found in run_costs(plan, tmp_path, MACHINE, known, big, quiet)] == [99.0]
    assert timed == []


def test_what_is_trained_already_does_not_count(timed: list[RunSpec], tmp_path: Path) -> None:
    plan = specs("train_clips=null", "evaluation.val_clips=24", "evaluation.test_clips=null")
    folder = RunFolder(tmp_path / plan[-1].folder)
    folder.create(plan[-1])
    folder.write_history([{"epoch": epoch, "step": 125 * (epoch + 1)} for epoch in range(4)])
    (found,) = run_costs(plan, tmp_path, MACHINE, {}, data(1000, 500, 60), quiet)
    assert found.seconds == pytest.approx(6 * 125 * 4.0 + (6 * 24 + 60) * 4.0 / 24)


def test_a_data_parallel_step_has_a_share_of_the_batch_and_runs_at_once_share_the_time(
    timed: list[RunSpec], tmp_path: Path
) -> None:
    assert Machine(torch.device("cpu"), 1, processes=4).batch(specs()[-1]) == 2
    plan = specs("train_clips=null", seeds=(0, 1, 2))
    found = run_costs(plan, tmp_path, MACHINE, {}, data(10**5, 8, 8), quiet)
    assert total_seconds(found, 2) == pytest.approx(1.5 * (found[0].seconds or 0))
    assert total_seconds(found, 8) == pytest.approx(found[0].seconds or 0)


def test_runs_at_once_must_fit_into_memory() -> None:
    spec = specs()[-1]
    costs = [cost.RunCost(spec, None, StepCost(seconds=1.0, peak=peak * 10**9)) for peak in (3, 1, 2)]
    two = replace(MACHINE, jobs=2)
    assert "need about 5.0 GB, and 4.0 GB are free. Use --jobs 1" in cost.memory_shortage(costs, two, 4 * 10**9)
    assert cost.memory_shortage(costs, two, 5 * 10**9) == ""
    assert cost.memory_shortage(costs, MACHINE, 1) == ""
    assert cost.memory_shortage(costs, two, None) == ""
    assert cost.memory_shortage([], two, 1) == ""


def order(**doing: bool) -> Order:
    experiment = Experiment.parse({"methods": "convlstm", "datasets": "moving_digits"}, "test")
    return Order(experiment, (), {}, doing=doing)


def test_above_two_hours_the_command_asks(
    timed: list[RunSpec], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shown, "Datasets", lambda *_: SimpleNamespace(get=data(10**5, 8, 8)))
    plan, display = specs("train_clips=null"), SweepDisplay()
    with pytest.raises(UserError, match=r"about 5.8 days .* --yes .* quick .* --budget"):
        shown.agree_to_costs(order(), plan, {}, MACHINE, display)
    assert "~ 5.8 days" in capsys.readouterr().out
    shown.agree_to_costs(order(yes=True), plan, {}, MACHINE, display)
    shown.agree_to_costs(order(dry_run=True), plan, {}, MACHINE, display)
    shown.agree_to_costs(order(), plan, {}, MACHINE, display, elsewhere=True)
    asked_for = specs("train_clips=null", "budget=300h")
    times = {spec.folder: Duration("budget", 10**6) for spec in asked_for}
    shown.agree_to_costs(order(), asked_for, times, MACHINE, display)  # the user has named the time
    assert seconds_to_agree([cost.RunCost(asked_for[-1], None, None, 10.0**6)], 1) == 0


@pytest.mark.slow
def test_timing_leaves_this_process_as_it_was() -> None:
    torch.manual_seed(3)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    spec = specs("convlstm.hidden=[2]")[-1]
    found = measure_step(spec, batch=2, device=torch.device("cpu"), threads=1, timeout=120)
    assert found.failure is None
    assert found.seconds is not None
    assert found.seconds > 0
    assert found.peak is not None
    assert found.peak > 10**7
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
