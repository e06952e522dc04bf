"""Learning-rate schedules as closed forms of the step or epoch number, so that a resumed run continues exactly."""

from __future__ import annotations

import math
from typing import NamedTuple

from stbench.schema import Constant, Cosine, OneCycle


class Rate(NamedTuple):
    """What the optimiser gets at one step; ``beta1`` None leaves Adam's own."""

    lr: float
    beta1: float | None = None


def rate_at(
    schedule: OneCycle | Cosine | Constant, lr: float, *, step: int, total_steps: int, epoch: int, total_epochs: int
) -> Rate:
    """The rate at a step (0-based) of a run.

    >>> rate_at(Constant(), 0.1, step=3, total_steps=10, epoch=0, total_epochs=1).lr
    0.1
    """
    if isinstance(schedule, OneCycle):
        return one_cycle(schedule, lr, step, total_steps)
    if isinstance(schedule, Cosine):
        return Rate(cosine(schedule, lr, epoch, total_epochs))
    return Rate(lr)


def one_cycle(schedule: OneCycle, peak: float, step: int, total_steps: int) -> Rate:
    """Smith & Topin's one cycle with cosine ramps, stepped per optimiser step, as torch's OneCycleLR computes it.

    The rate goes from peak/div up to peak, then down to peak/(div·final_div); Adam's beta1 mirrors it between the
    two values of ``schedule.momentum``.
    """
    start, end = peak / schedule.div, peak / (schedule.div * schedule.final_div)
    turn = schedule.warmup * total_steps - 1
    last = total_steps - 1
    rising = step <= turn
    first, final = (0.0, turn) if rising else (turn, last)
    part = (step - first) / (final - first) if final > first else 1.0
    lr = _between(start, peak, part) if rising else _between(peak, end, part)
    if schedule.momentum is None:
        return Rate(lr)
    low, high = schedule.momentum
    return Rate(lr, _between(high, low, part) if rising else _between(low, high, part))


def cosine(schedule: Cosine, peak: float, epoch: int, total_epochs: int) -> float:
    """Cosine per epoch after a linear warm-up; the cosine runs over all epochs, the warm-up replaces its beginning.

    lr(e) = warmup_lr + e·(peak − warmup_lr)/warmup_epochs for e < warmup_epochs, else
    min_lr + (peak − min_lr)·(1 + cos(π·e/total_epochs))/2: the published setting (timm's scheduler).
    """
    if epoch < schedule.warmup_epochs:
        return schedule.warmup_lr + epoch * (peak - schedule.warmup_lr) / schedule.warmup_epochs
    return _between(peak, schedule.min_lr, min(epoch / total_epochs, 1.0))


def _between(start: float, end: float, part: float) -> float:
    """Half a cosine from start (part 0) to end (part 1)."""
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * part))
