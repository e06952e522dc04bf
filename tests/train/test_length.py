"""Runs that end by steps or by time: resumed exactly, and what they record."""

import copy
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stbench.schema import Budget, Rate
from stbench.train import loop
from stbench.train.checkpoint import find_best
from stbench.train.engine import Engine
from stbench.train.length import Length, epochs_that_fit, run_length
from stbench.train.loop import Trainer
from stbench.train.schedules import Cosine, OneCycle
from tests.train.test_loop import StopAfter, without_times
from tests.train.tiny import Recorder, make_trainer, tiny_training

STEPS_PER_EPOCH = 5
TICKS_PER_STEP = 3


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [copy.deepcopy(value) for value in trainer.method.state_dict().values()]


@pytest.mark.parametrize(
    ("changes", "fitting", "expected"),
    [
        ({"epochs": 3}, None, Length(15, 3)),
        ({"epochs": 3, "steps": 12}, None, Length(12, 3)),
        ({"epochs": 3, "steps": 10}, None, Length(10, 2)),
        ({"epochs": 3, "steps": 1}, None, Length(1, 1)),
        ({"epochs": 3, "budget": "1h"}, None, Length(15, 3)),
        ({"epochs": 3, "budget": "1h"}, 7, Length(35, 7)),
    ],
)
def test_length(changes: dict[str, Any], fitting: int | None, expected: Length) -> None:
    assert run_length(tiny_training(**changes), STEPS_PER_EPOCH, fitting) == expected


@pytest.mark.parametrize(("seconds", "first", "fit"), [(10, 4, 3), (8, 4, 2), (1, 4, 1), (1, 0, 10**9)])
def test_epochs_that_fit(seconds: float, first: float, fit: int) -> None:
    assert epochs_that_fit(seconds, first) == fit


def test_steps_end_in_the_middle_of_an_epoch(tmp_path: Path, engine: Engine) -> None:
    recorder = Recorder()
    trainer = make_trainer(tmp_path, engine, tiny_training(steps=13, epochs=99), listener=recorder)
    state = trainer.run()
    assert (state.step, state.epoch) == (13, 3)
    assert [record["step"] for record in state.history] == [5, 10, 13]
    assert len(np.load(trainer.folder.file("learning_rate.npy"))) == 13
    for record in state.history:  # a mean over the steps that were done, not over a whole epoch
        assert record["train_mse"] < record["train_loss"] < 2 * record["train_mse"]
    assert recorder.steps[-1] == pytest.approx(state.history[-1]["train_loss"])


def test_a_schedule_by_steps_reaches_its_end(tmp_path: Path, engine: Engine) -> None:
    schedule = OneCycle(final_div=100.0)
    trainer = make_trainer(tmp_path, engine, tiny_training(steps=13, schedule=schedule))
    trainer.run()
    rates = np.load(trainer.folder.file("learning_rate.npy"))
    assert rates[-1] == pytest.approx(1e-2 / schedule.div / 100.0)
    assert trainer.optimizer.param_groups[0]["lr"] == rates[-1]


@pytest.mark.parametrize("looks", [4, 9, 11, 14, 15])
def test_a_run_by_steps_resumes_exactly(tmp_path: Path, engine: Engine, looks: int) -> None:
    training = tiny_training(steps=13, schedule=Cosine(warmup_epochs=1))
    whole = make_trainer(tmp_path / "whole", engine, training)
    whole_state = whole.run()
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "cut", engine, training, stop=StopAfter(looks)).run()
    resumed = make_trainer(tmp_path / "cut", engine, training)
    state = resumed.run()
    assert state.step == 13
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    assert without_times(state.history) == without_times(whole_state.history)


class Ticking:
    """Replaces the loop's time module: every look at the clock is a second later."""

    def __init__(self, start: int = 0) -> None:
        self.ticks = itertools.count(start)

    def monotonic(self) -> float:
        return float(next(self.ticks))


def test_time_ends_a_run_with_the_step_that_exceeds_it(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", Ticking())
    budget = Budget(kind="time", amount=18.0)
    trainer = make_trainer(tmp_path, engine, tiny_training(epochs=99, budget=budget, schedule=Cosine(min_lr=1e-6)))
    state = trainer.run()
    seconds = np.cumsum([record["train_seconds"] for record in state.history])
    assert seconds[-1] == state.train_seconds >= 18.0
    assert seconds[-1] <= 18.0 + TICKS_PER_STEP
    assert all(before < 18.0 for before in seconds[:-1])
    assert state.step % STEPS_PER_EPOCH > 0
    assert state.history[-1]["step"] == state.step
    assert state.fitting_epochs == math.ceil(18.0 / seconds[0])
    assert len(state.history) == state.fitting_epochs  # every epoch takes as many ticks
    rates = np.load(trainer.folder.file("learning_rate.npy"))
    assert len(rates) == STEPS_PER_EPOCH * state.fitting_epochs
    assert state.history[-1]["lr"] == rates[state.step - 1]
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] < 0.51e-2  # the schedule is that of the epochs that fit, not of 99


def test_time_may_end_within_the_first_epoch_and_a_resume_adds_nothing(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", Ticking())
    training = tiny_training(epochs=99, budget=Budget(kind="time", amount=3.0))
    trainer = make_trainer(tmp_path, engine, training)
    state = trainer.run()
    assert 0 < state.step < STEPS_PER_EPOCH
    assert [record["step"] for record in state.history] == [state.step]
    assert state.history[0]["train_mse"] < state.history[0]["train_loss"] < 2 * state.history[0]["train_mse"]
    assert find_best(trainer.folder).is_file()
    again = make_trainer(tmp_path, engine, training)
    assert again.run() == state
    assert all(torch.equal(a, b) for a, b in zip(weights(trainer), weights(again), strict=True))


class Applied:
    """Notes every rate that a trainer sets."""

    def __init__(self, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rates: list[Rate] = []
        next_rate = trainer._next_rate

        def noted(since: float) -> Rate:
            self.rates.append(next_rate(since))
            return self.rates[-1]

        monkeypatch.setattr(trainer, "_next_rate", noted)


def test_a_cycle_over_a_budget_of_time_follows_the_clock(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the peak and down to the end once, over the whole budget; stopped half-way it goes on from there."""
    monkeypatch.setattr(loop, "time", Ticking())
    schedule = OneCycle(warmup=0.25)
    training = tiny_training(epochs=2, budget="120s", schedule=schedule)
    first = make_trainer(tmp_path, engine, training, stop=StopAfter(23))
    before = Applied(first, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = make_trainer(tmp_path, engine, training)
    after = Applied(second, monkeypatch)
    state = second.run()
    rates = np.array([rate.lr for rate in before.rates + after.rates])
    peak = int(rates.argmax())
    assert state.epoch > 2  # the protocol's epochs, which the budget replaces, would have put the peak into the first
    assert len(before.rates) > STEPS_PER_EPOCH
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) <= 0).all()
    assert 0.2 < peak / len(rates) < 0.35
    assert rates[0] < 2 * training.lr / schedule.div
    assert rates.max() > 0.9 * training.lr
    assert rates[-1] < 0.05 * training.lr
    assert state.history[-1]["lr"] == rates[-1]
    assert not second.folder.file("learning_rate.npy").exists()


def test_a_slower_rest_stops_early_and_a_faster_one_goes_on_at_the_last_rate(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = tiny_training(epochs=99, budget="20s", schedule=OneCycle())
    for pace, compare in (("slow", np.less), ("fast", np.greater)):
        trainer = make_trainer(tmp_path / pace, engine, training)
        account = trainer._account

        def paced(since: float, trainer: Trainer = trainer, pace: str = pace, account: Any = account) -> float:
            trainer.state.epoch_seconds += (
                4.0 if trainer.state.epoch == 0 or pace == "normal" else 8.0 if pace == "slow" else 1.0
            )
            return account(since)

        monkeypatch.setattr(trainer, "_account", paced)
        state = trainer.run()
        assert state.fitting_epochs == 5
        assert compare(state.epoch, state.fitting_epochs)
        assert state.train_seconds >= 20.0
        assert trainer.optimizer.param_groups[0]["lr"] > 0


def test_a_run_by_time_goes_on_where_it_was_with_its_seconds(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", Ticking())
    training = tiny_training(epochs=99, budget="30s")
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path, engine, training, stop=StopAfter(8)).run()
    monkeypatch.setattr(loop, "time", Ticking(start=10_000))
    resumed = make_trainer(tmp_path, engine, training)
    spent, fitting = resumed.state.train_seconds, resumed.state.fitting_epochs
    assert 0 < spent < 30
    assert fitting is not None
    state = resumed.run()
    assert state.fitting_epochs == fitting
    assert state.train_seconds == sum(record["train_seconds"] for record in state.history)
    assert 30 <= state.train_seconds < 30 + max(record["train_seconds"] for record in state.history)
    assert make_trainer(tmp_path, engine, training).run().step == state.step  # nothing is left to do


def test_history_counts_multiply_adds(tmp_path: Path, engine: Engine) -> None:
    trainer = make_trainer(tmp_path, engine, tiny_training(steps=7))
    assert trainer.macs_per_step is None
    trainer.macs_per_step = 1000
    assert [record["macs"] for record in trainer.run().history] == [5000, 7000]
