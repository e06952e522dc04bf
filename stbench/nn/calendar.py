"""Groups of frames by time of day, and by working day or weekend."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

import torch
from pydantic import AfterValidator, PositiveInt

from stbench.nn.method import Times

MINUTES_PER_DAY = 1440
SECONDS_PER_DAY = 60 * MINUTES_PER_DAY
DAYS_PER_WEEK, SATURDAY = 7, 5
FIRST_WEEKDAY = 3
"""Weekday of day 0, 1970-01-01: a Thursday, counted from Monday as 0."""

Grouping = Literal["weekday_time_of_day", "time_of_day", "mean"]
"""By time of day with working days and weekends separated (traffic), by time of day only (weather), or one group."""


def _divides_the_day(slots: int) -> int:
    if MINUTES_PER_DAY % slots:
        raise ValueError(f"{slots} does not divide the day's {MINUTES_PER_DAY} minutes; 24 is hours, 48 half hours")
    return slots


Slots = Annotated[PositiveInt, AfterValidator(_divides_the_day)]
"""Number of parts of the day."""


def count_groups(grouping: Grouping, slots: int) -> int:
    """Return the number of groups, without group 0 for frames of unknown time."""
    match grouping:
        case "mean":
            return 0
        case "time_of_day":
            return slots
        case "weekday_time_of_day":
            return 2 * slots
        case _:
            assert_never(grouping)


def group_of(times: Times, grouping: Grouping, slots: int) -> torch.Tensor:
    """Return the group of each time (int64 seconds since 1970-01-01 00:00, any shape): 1, 2, …, or 0 for "mean"."""
    if grouping == "mean":
        return torch.zeros_like(times)
    slot = times % SECONDS_PER_DAY * slots // SECONDS_PER_DAY
    if grouping == "time_of_day":
        return 1 + slot
    weekend = (times // SECONDS_PER_DAY + FIRST_WEEKDAY) % DAYS_PER_WEEK >= SATURDAY
    return 1 + slot + weekend * slots
