"""Checks of learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stbench.conformance.outcome import Check, ViolationError, check
from stbench.schema import Position, Rate, Schedule

PEAK = 1e-3
EPOCHS = 5


@dataclass(frozen=True)
class ScheduleSubject:
    """A schedule's record with default settings, and its registered name."""

    name: str
    record: type[Schedule]

    def rates(self, steps_per_epoch: int, epochs: int) -> list[Rate]:
        """Return the rate of every step of a run."""
        schedule, total = self.record(), steps_per_epoch * epochs  # type: ignore[call-arg]
        return [schedule.rate(Position(PEAK, s, total, s // steps_per_epoch, epochs)) for s in range(total)]


@check(crash_cause="a setting has no default")
def declaration(subject: ScheduleSubject) -> None:
    """The kind is the registered name, and the settings survive serialisation."""
    record = subject.record()  # type: ignore[call-arg]
    if record.kind != subject.name:
        raise ViolationError(f"kind {subject.name!r}, as registered", f"{record.kind!r}", "the two names differ")
    if Schedule.model_validate(record.model_dump(mode="json")) != record:
        raise ViolationError("the same record after writing and reading", "another one", "a field is not JSON-able")
    if record.follows not in ("steps", "epochs"):
        raise ViolationError('follows "steps" or "epochs"', f"{record.follows!r}", "follows is misspelt")


@check(crash_cause="rate() fails in short runs")
def rates(subject: ScheduleSubject) -> None:
    """Every rate is a finite number from 0 to the peak, also in runs of one step."""
    for steps, epochs in ((1, 1), (1, 7), (13, EPOCHS)):
        for rate in subject.rates(steps, epochs):
            momentum = 0.0 if rate.momentum is None else rate.momentum
            if not (math.isfinite(rate.lr) and 0 <= rate.lr <= PEAK * (1 + 1e-9) and 0 <= momentum < 1):
                raise ViolationError(f"a rate from 0 to {PEAK}, momentum below 1", f"{rate}", "the formula overshoots")


@check(crash_cause="rate() fails when asked out of order")
def closed_form(subject: ScheduleSubject) -> None:
    """A rate depends only on the position, so that a resumed run continues exactly."""
    schedule, total = subject.record(), 13 * EPOCHS  # type: ignore[call-arg]
    forward = subject.rates(13, EPOCHS)
    backward = [schedule.rate(Position(PEAK, s, total, s // 13, EPOCHS)) for s in reversed(range(total))]
    if forward != backward[::-1]:
        raise ViolationError("the same rates in any order", "other ones", "the schedule counts its own calls")


@check(crash_cause="rate() fails")
def pace(subject: ScheduleSubject) -> None:
    """Some step reaches half the peak, and a schedule that follows epochs is constant within each."""
    found = [rate.lr for rate in subject.rates(40, EPOCHS)]
    if max(found) < PEAK / 2:
        raise ViolationError(f"a rate near the peak of {PEAK}", f"at most {max(found):.3g}", "the peak is not used")
    by_epoch = [len(set(found[40 * e : 40 * e + 40])) for e in range(EPOCHS)]
    if subject.record.follows == "epochs" and max(by_epoch) > 1:
        raise ViolationError("one rate per epoch", f"up to {max(by_epoch)}", 'follows = "steps" is missing')


CHECKS: tuple[Check, ...] = (declaration, rates, closed_form, pace)
