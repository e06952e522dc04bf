"""The learning rate of each step: a run's schedule, asked at the right position."""

from __future__ import annotations

import torch

from stbench.schema import Position, Rate, Training
from stbench.train.length import Length

CLOCK_STEPS = 1 << 20
"""Steps into which a budget of time is divided for a schedule that follows steps."""


def follows_clock(training: Training) -> bool:
    """Whether the rate follows a budget of time: its steps cannot be counted before, the share that is spent can."""
    return training.time_limit is not None and training.schedule.follows == "steps"


def rate_at_step(training: Training, length: Length, step: int, epoch: int) -> Rate:
    """The rate of a step (from 0) of a run whose length is known or assumed."""
    position = Position(training.lr, min(step, length.steps - 1), length.steps, epoch, length.epochs)
    return training.schedule.rate(position)


def rate_at_share(training: Training, share: float, length: Length, epoch: int) -> Rate:
    """The rate where ``share`` (0 to 1) of a budget of time is spent: it never jumps, whatever the pace."""
    step = round(min(1.0, share) * (CLOCK_STEPS - 1))
    return training.schedule.rate(Position(training.lr, step, CLOCK_STEPS, epoch, length.epochs))


def apply_rate(optimizer: torch.optim.Optimizer, rate: Rate) -> None:
    """Set rate and momentum of every parameter group; an optimiser without momentum keeps none."""
    for group in optimizer.param_groups:
        group["lr"] = rate.lr
        if rate.momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (rate.momentum, *group["betas"][1:])
        elif "momentum" in group:
            group["momentum"] = rate.momentum
