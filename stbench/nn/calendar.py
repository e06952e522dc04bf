"""Groups of frames by when they were taken: time of day, working days and weekends."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

import torch
from pydantic import AfterValidator, PositiveInt

from stbench.nn.method import Times

MINUTES_PER_DAY = 1440
DAYS_PER_WEEK, SATURDAY = 7, 5
FIRST_WEEKDAY = 3
"""1970-01-01, day 0, was a Thursday; Monday is 0."""

Grouping = Literal["weekday_time_of_day", "time_of_day", "mean"]
"""Working days and weekends apart, which is right for traffic; not apart, which is enough for weather; one group."""


def _divides_the_day(slots: int) -> int:
    if MINUTES_PER_DAY % slots:
        raise ValueError(f"{slots} does not divide the day's {MINUTES_PER_DAY} minutes; 24 is hours, 48 half hours")
    return slots


Slots = Annotated[PositiveInt, AfterValidator(_divides_the_day)]
"""Parts of the day."""


def count_groups(grouping: Grouping, slots: int) -> int:
    """Number of groups besides group 0, the frames whose time is not known."""
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
    """Group of each time, from 1 on, 0 under "mean": int64 minutes since 1970-01-01 00:00, any shape."""
    if grouping == "mean":
        return torch.zeros_like(times)
    slot = times % MINUTES_PER_DAY * slots // MINUTES_PER_DAY
    if grouping == "time_of_day":
        return 1 + slot
    weekend = (times // MINUTES_PER_DAY + FIRST_WEEKDAY) % DAYS_PER_WEEK >= SATURDAY
    return 1 + slot + weekend * slots
