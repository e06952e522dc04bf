"""Closed forms of the learning rate against torch's own schedulers and hand-worked values."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from stbench.schema import SCHEDULES, Position, Rate, Schedule, Training
from stbench.train.length import Length
from stbench.train.rates import CLOCK_STEPS, apply_rate, follows_clock, rate_at_share, rate_at_step
from stbench.train.schedules import Constant, Cosine, CosineStep, OneCycle


def at_step(schedule: Schedule, peak: float, step: int, total: int) -> Rate:
    return schedule.rate(Position(peak, step, total, epoch=0, total_epochs=1))


def at_epoch(schedule: Schedule, peak: float, epoch: int, total: int) -> float:
    return schedule.rate(Position(peak, 10 * epoch, 10 * total, epoch, total)).lr


def torch_optimizer() -> torch.optim.Optimizer:
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)


@pytest.mark.parametrize("total", [7, 50, 333])
@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs(total: int, warmup: float) -> None:
    optimizer = torch_optimizer()
    theirs = lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=total, pct_start=warmup, final_div_factor=1e4)
    for step in range(total):
        ours = at_step(OneCycle(warmup=warmup), 1e-3, step, total)
        group = optimizer.param_groups[0]
        if warmup * total > 1:  # torch starts above its peak otherwise
            assert ours.lr == pytest.approx(group["lr"], rel=1e-9, abs=1e-15)
            assert ours.momentum == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step < total - 1:
            theirs.step()


def test_one_cycle_without_momentum_leaves_it() -> None:
    assert at_step(OneCycle(momentum=None), 1e-3, 3, 10).momentum is None


def test_cosine_by_hand() -> None:
    schedule = Cosine(warmup_epochs=5, warmup_lr=1e-5, min_lr=1e-6)
    assert at_epoch(schedule, 5e-4, 0, 50) == pytest.approx(1e-5)
    assert at_epoch(schedule, 5e-4, 4, 50) == pytest.approx(1e-5 + 4 * (5e-4 - 1e-5) / 5)
    assert at_epoch(schedule, 5e-4, 25, 50) == pytest.approx((5e-4 + 1e-6) / 2)
    expected = 1e-6 + (5e-4 - 1e-6) * (1 + math.cos(math.pi * 49 / 50)) / 2
    assert at_epoch(schedule, 5e-4, 49, 50) == pytest.approx(expected)


@pytest.mark.parametrize(("total", "warmup"), [(10, 0.0), (40, 0.25), (101, 0.1)])
def test_cosine_per_step_is_torchs_after_a_linear_warm_up(total: int, warmup: float) -> None:
    """LinearLR's first factor is that of one step in; CosineAnnealingLR then runs over the rest."""
    warm = round(warmup * total)
    optimizer = torch_optimizer()
    parts: list[Any] = [lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warm, eta_min=1e-5)]
    if warm:
        parts.insert(0, lr_scheduler.LinearLR(optimizer, 1 / (warm + 1), total_iters=warm))
    theirs = lr_scheduler.SequentialLR(optimizer, parts, [warm] if warm else [])
    for step in range(total):
        ours = at_step(CosineStep(warmup=warmup, min_lr=1e-5), 1e-3, step, total)
        assert ours == (pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6), None)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", SCHEDULES.names())
@given(peak=st.floats(1e-6, 1.0), total=st.integers(1, 200), part=st.floats(0, 1, exclude_max=True))
def test_rates_stay_between_zero_and_the_peak(name: str, peak: float, total: int, part: float) -> None:
    at = int(part * total)
    lr = SCHEDULES.get(name)(**({"warmup_lr": 0.0, "min_lr": 0.0} if "cosine" in name else {})).rate(
        Position(peak, at, total, at, total)
    )
    assert 0 <= lr.lr <= peak * (1 + 1e-9)


@given(peak=st.floats(1e-6, 1.0), total=st.integers(1, 200), part=st.floats(0, 1, exclude_max=True))
def test_one_cycle_ends_far_below_where_it_starts(peak: float, total: int, part: float) -> None:
    assert at_step(OneCycle(), peak, int(part * total), total).lr >= peak / (25 * 1e4) * (1 - 1e-9)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_a_run_reads_its_schedule_by_name(name: str) -> None:
    training = Training(epochs=3, batch_size=2, lr=0.1, schedule={"kind": name})  # type: ignore[arg-type]
    assert type(training.schedule) is SCHEDULES.get(name)
    length = Length(steps=30, epochs=3)
    expected = training.schedule.rate(Position(0.1, 12, 30, 1, 3))
    assert rate_at_step(training, length, 12, 1) == expected


def test_steps_of_a_budget_of_time_are_shares_of_it() -> None:
    values: dict[str, Any] = {"epochs": 9, "batch_size": 2, "lr": 0.1, "budget": "10s"}
    training = Training(**values, schedule=OneCycle())
    assert follows_clock(training)
    assert not follows_clock(Training(**values, schedule=Cosine()))
    length = Length(steps=30, epochs=3)
    assert rate_at_share(training, 0.0, length, 0) == at_step(OneCycle(), 0.1, 0, CLOCK_STEPS)
    assert rate_at_share(training, 2.0, length, 2) == at_step(OneCycle(), 0.1, CLOCK_STEPS - 1, CLOCK_STEPS)


def test_momentum_reaches_optimisers_that_have_one() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    adam, sgd = torch.optim.Adam([parameter], betas=(0.5, 0.7)), torch.optim.SGD([parameter], lr=1.0, momentum=0.3)
    plain = torch.optim.Adagrad([parameter])
    for optimizer in (adam, sgd, plain):
        apply_rate(optimizer, Rate(0.01, 0.9))
        assert optimizer.param_groups[0]["lr"] == 0.01
    assert adam.param_groups[0]["betas"] == (0.9, 0.7)
    assert sgd.param_groups[0]["momentum"] == 0.9
    apply_rate(adam, Rate(0.02))
    assert adam.param_groups[0]["betas"] == (0.9, 0.7)


def test_constant() -> None:
    assert at_step(Constant(), 0.1, 5, 10) == Rate(0.1)
