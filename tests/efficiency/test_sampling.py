"""Statistics with a fake clock, interleaving, out of memory as a value, and a known sleep."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stbench.efficiency.sampling import (
    MAX_SAMPLES,
    OUT_OF_MEMORY,
    DeviceClock,
    Spread,
    interleave,
    summarise,
)
from stbench.errors import is_out_of_memory


class FakeClock:
    """Time passes only where work says so."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class Work:
    """Takes the given times in turn, the last one for ever; remembers when it ran."""

    def __init__(self, clock: FakeClock, log: list[str], name: str, *seconds: float) -> None:
        self.clock, self.log, self.name, self.seconds = clock, log, name, list(seconds)

    def __call__(self) -> None:
        self.log.append(self.name)
        self.clock.time += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]


def of(result: Spread | str) -> Spread:
    assert isinstance(result, Spread)
    return result


def test_statistics_leave_the_warm_up_out() -> None:
    clock = FakeClock()
    work = Work(clock, [], "a", 100.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    spread = of(interleave({"a": work}, clock, budget=15.0)["a"])
    assert (spread.p50, spread.iqr, spread.best, spread.samples) == (3.0, 2.0, 1.0, 5)
    assert spread.p95 == pytest.approx(4.8)


def test_warm_up_lasts_a_fifth_of_the_budget() -> None:
    clock = FakeClock()
    log: list[str] = []
    interleave({"a": Work(clock, log, "a", 1.0)}, clock, budget=10.0)
    assert len(log) == 2 + 10


def test_rounds_take_turns_until_each_has_spent_its_budget() -> None:
    clock = FakeClock()
    log: list[str] = []
    works = {"slow": Work(clock, log, "slow", 4.0), "fast": Work(clock, log, "fast", 1.0)}
    results = interleave(works, clock, budget=5.0)
    assert log == ["slow", "fast", "slow", "fast", "slow", "fast", "fast", "fast", "fast"]
    assert (of(results["slow"]).samples, of(results["fast"]).samples) == (2, 5)


def test_work_beyond_the_budget_runs_once() -> None:
    clock = FakeClock()
    spread = of(interleave({"a": Work(clock, [], "a", 60.0)}, clock, budget=1.0)["a"])
    assert (spread.samples, spread.p50, spread.iqr) == (1, 60.0, 0.0)


def test_instant_work_stops_at_the_most_samples() -> None:
    clock = FakeClock()
    assert of(interleave({"a": Work(clock, [], "a", 1e-6)}, clock, budget=1e-3)["a"]).samples == MAX_SAMPLES


@pytest.mark.parametrize("fails_at", [0, 1, 3])
def test_out_of_memory_is_a_value_and_the_others_go_on(fails_at: int) -> None:
    clock = FakeClock()
    calls = iter(range(100))

    def hungry() -> None:
        clock.time += 1.0
        if next(calls) == fails_at:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    results = interleave({"hungry": hungry, "modest": Work(clock, [], "modest", 1.0)}, clock, budget=4.0)
    assert results["hungry"] == OUT_OF_MEMORY
    assert of(results["modest"]).samples == 4


def test_other_errors_are_not_swallowed() -> None:
    def broken() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        interleave({"broken": broken}, FakeClock(), budget=1.0)


@pytest.mark.parametrize(
    ("error", "is_it"),
    [(MemoryError(), True), (torch.cuda.OutOfMemoryError(), True), (RuntimeError("mat1 and mat2"), False)],
)
def test_what_counts_as_out_of_memory(error: Exception, is_it: bool) -> None:
    assert is_out_of_memory(error) is is_it


def test_a_real_allocation_failure_is_recognised() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50))
def test_order_statistics_are_those_of_the_sorted_values(seconds: list[float]) -> None:
    spread = summarise(seconds)
    quartiles = np.quantile(seconds, [0.25, 0.75])
    assert min(seconds) == spread.best <= spread.p50 * (1 + 1e-12)
    assert spread.p50 == pytest.approx(float(np.median(seconds)))
    assert spread.iqr == pytest.approx(quartiles[1] - quartiles[0], abs=1e-9)
    assert spread.p50 <= spread.p95 * (1 + 1e-12) <= max(seconds) * (1 + 2e-12)


def test_a_known_sleep_is_measured_within_five_percent() -> None:
    seconds = 0.04
    clock = DeviceClock(torch.device("cpu"))
    spread = of(interleave({"sleep": lambda: time.sleep(seconds)}, clock, budget=10 * seconds)["sleep"])
    assert spread.p50 == pytest.approx(seconds, rel=0.05)
