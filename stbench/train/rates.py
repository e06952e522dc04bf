"""The learning rate of each step: the run's schedule at the step's position."""

from __future__ import annotations

import torch

from stbench.schema import Position, Rate, Training
from stbench.train.length import Length

CLOCK_STEPS = 1 << 20
"""Number of steps into which a budget of time is divided for a schedule by steps."""


def follows_clock(training: Training) -> bool:
    """Return whether the rate follows the share of a budget of time, because its number of steps is unknown."""
    return training.time_limit is not None and training.schedule.follows == "steps"


def rate_at_step(training: Training, length: Length, step: int, epoch: int) -> Rate:
    """Return the rate of a step (from 0) of a run with a known or assumed length."""
    position = Position(training.lr, min(step, length.steps - 1), length.steps, epoch, length.epochs)
    return training.schedule.rate(position)


def rate_at_share(training: Training, share: float, length: Length, epoch: int) -> Rate:
    """Return the rate at a spent ``share`` (0 to 1) of a budget of time, which changes smoothly at any speed."""
    step = round(min(1.0, share) * (CLOCK_STEPS - 1))
    return training.schedule.rate(Position(training.lr, step, CLOCK_STEPS, epoch, length.epochs))


def apply_rate(optimizer: torch.optim.Optimizer, rate: Rate) -> None:
    """Set rate and momentum of every parameter group; momentum only if the optimiser has it."""
    for group in optimizer.param_groups:
        group["lr"] = rate.lr
        if rate.momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (rate.momentum, *group["betas"][1:])
        elif "momentum" in group:
            group["momentum"] = rate.momentum
