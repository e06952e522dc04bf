"""Closed forms of the learning rate against torch's own schedulers and hand-worked values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stbench.schema import Constant, Cosine, OneCycle
from stbench.train.schedules import cosine, one_cycle, rate_at


@pytest.mark.parametrize("total", [7, 50, 333])
@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs(total: int, warmup: float) -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-3, total_steps=total, pct_start=warmup, final_div_factor=1e4
    )
    for step in range(total):
        ours = one_cycle(OneCycle(warmup=warmup), 1e-3, step, total)
        group = optimizer.param_groups[0]
        if warmup * total > 1:  # torch starts above its peak otherwise
            assert ours.lr == pytest.approx(group["lr"], rel=1e-9, abs=1e-15)
            assert ours.beta1 == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step < total - 1:
            theirs.step()


def test_one_cycle_without_momentum_leaves_beta() -> None:
    assert one_cycle(OneCycle(momentum=None), 1e-3, 3, 10).beta1 is None


def test_cosine_by_hand() -> None:
    schedule = Cosine(warmup_epochs=5, warmup_lr=1e-5, min_lr=1e-6)
    assert cosine(schedule, 5e-4, 0, 50) == pytest.approx(1e-5)
    assert cosine(schedule, 5e-4, 4, 50) == pytest.approx(1e-5 + 4 * (5e-4 - 1e-5) / 5)
    assert cosine(schedule, 5e-4, 25, 50) == pytest.approx((5e-4 + 1e-6) / 2)
    expected = 1e-6 + (5e-4 - 1e-6) * (1 + math.cos(math.pi * 49 / 50)) / 2
    assert cosine(schedule, 5e-4, 49, 50) == pytest.approx(expected)


@given(
    peak=st.floats(1e-6, 1.0),
    total=st.integers(1, 200),
    warmup=st.integers(0, 10),
    part=st.floats(0, 1, exclude_max=True),
)
def test_rates_stay_between_their_ends(peak: float, total: int, warmup: int, part: float) -> None:
    step = int(part * total)
    low = min(peak, 1e-6)
    schedule = Cosine(warmup_epochs=warmup, warmup_lr=low, min_lr=low)
    assert low * (1 - 1e-9) <= cosine(schedule, peak, step, total) <= peak * (1 + 1e-9)
    lr = one_cycle(OneCycle(), peak, step, total).lr
    assert peak / (25 * 1e4) * (1 - 1e-9) <= lr <= peak * (1 + 1e-9)


def test_dispatch() -> None:
    where = {"step": 5, "total_steps": 10, "epoch": 1, "total_epochs": 2}
    assert rate_at(Constant(), 0.1, **where).lr == 0.1
    assert rate_at(Cosine(), 0.1, **where).lr == cosine(Cosine(), 0.1, 1, 2)
    assert rate_at(OneCycle(), 0.1, **where) == one_cycle(OneCycle(), 0.1, 5, 10)
