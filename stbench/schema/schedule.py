"""The contract of a learning-rate schedule plugin (entry-point group ``stbench.schedules``). Imports no torch."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple

from stbench.registry import Registry
from stbench.schema.plugin import PluginRecord, record_check


class Position(NamedTuple):
    """Position in training before a step; ``step`` and ``epoch`` count from 0, ``peak`` is the run's learning rate."""

    peak: float
    step: int
    total_steps: int
    epoch: int
    total_epochs: int


class Rate(NamedTuple):
    """Learning rate and momentum (Adam's beta1) of one step; momentum None keeps that of the optimiser."""

    lr: float
    momentum: float | None = None


class Schedule(PluginRecord):
    """Settings of a schedule. A plugin adds fields and implements :meth:`rate`.

    The rate is a closed form of the position, so that a resumed run continues exactly. ``follows`` says whether it
    depends on steps or epochs. Under a budget of time, a schedule by steps gets a step proportional to the time spent;
    a schedule by epochs gets the number of epochs that fit the budget.
    """

    registry: ClassVar[Registry[type[Schedule]]]
    follows: ClassVar[Literal["steps", "epochs"]] = "epochs"

    @abstractmethod
    def rate(self, position: Position) -> Rate:
        """Return the rate of the step at a position."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule", "stbench.schedules", record_check(Schedule))
Schedule.registry = SCHEDULES


def half_cosine(start: float, end: float, part: float) -> float:
    """Interpolate along half a cosine from ``start`` (part 0) to ``end`` (part 1).

    >>> half_cosine(2.0, 0.0, 0.5)
    1.0
    """
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * part))
