"""Robust timing: warm-up, interleaved rounds, synchronised clocks, order statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch

from stbench.efficiency.records import Spread
from stbench.errors import is_out_of_memory

Key = TypeVar("Key", bound=Hashable)
Work = Callable[[], object]
MAX_SAMPLES = 200
WARM_UP_SHARE = 0.2
OUT_OF_MEMORY = "out of memory"


class Clock(Protocol):
    """A clock; tests supply their own."""

    def now(self) -> float:
        """Return monotonic seconds after all work queued on the device is done."""


@dataclass(frozen=True)
class DeviceClock:
    """The wall clock, synchronised with a device."""

    device: torch.device

    def now(self) -> float:
        """Return seconds after all work queued on the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def summarise(seconds: Sequence[float]) -> Spread:
    """Return the statistics of one or more timings.

    >>> summarise([1.0, 2.0, 3.0, 4.0, 5.0]).iqr
    2.0
    """
    low, middle, high, tail = np.percentile(np.asarray(seconds, dtype=np.float64), [25, 50, 75, 95]).tolist()
    return Spread(p50=middle, p95=tail, iqr=high - low, best=min(seconds), samples=len(seconds))


@dataclass
class _Series:
    """Timings of one task so far."""

    work: Work
    spent: float = 0.0
    seconds: list[float] = field(default_factory=list)
    failure: str | None = None

    def run(self, clock: Clock) -> float:
        started = clock.now()
        self.work()
        taken = clock.now() - started
        self.spent += taken
        return taken

    def wants_more(self, budget: float, at_least: int) -> bool:
        if self.failure is not None or len(self.seconds) >= MAX_SAMPLES:
            return False
        return self.spent < budget or len(self.seconds) < at_least


def interleave(works: Mapping[Key, Work], clock: Clock, budget: float, at_least: int = 1) -> dict[Key, Spread | str]:
    """Time tasks in turns, so that slow moments of the machine affect all of them equally.

    Each task is warmed up at least once, which includes compilation. It is then run until it has used ``budget``
    seconds, at least ``at_least`` and at most 200 times.

    Returns:
        Statistics by key, or the reason if a task ran out of memory.
    """
    series = {key: _Series(work) for key, work in works.items()}
    for one in series.values():
        _guarded(one, lambda one=one: _warm_up(one, clock, WARM_UP_SHARE * budget))  # type: ignore[misc]
    while waiting := [one for one in series.values() if one.wants_more(budget, at_least)]:
        for one in waiting:
            _guarded(one, lambda one=one: one.seconds.append(one.run(clock)))  # type: ignore[misc]
    return {key: one.failure or summarise(one.seconds) for key, one in series.items()}


def _warm_up(series: _Series, clock: Clock, seconds: float) -> None:
    series.run(clock)
    while series.spent < seconds:
        series.run(clock)
    series.spent = 0.0


def _guarded(series: _Series, action: Callable[[], None]) -> None:
    try:
        action()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        series.failure = OUT_OF_MEMORY
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
