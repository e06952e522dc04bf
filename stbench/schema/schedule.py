"""The contract of a learning-rate schedule plugin (entry-point group ``stbench.schedules``). Imports no torch."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple

from stbench.registry import Registry
from stbench.schema.plugin import PluginRecord, record_check


class Position(NamedTuple):
    """Where training stands before a step; ``step`` and ``epoch`` count from 0, ``peak`` is the run's learning rate."""

    peak: float
    step: int
    total_steps: int
    epoch: int
    total_epochs: int


class Rate(NamedTuple):
    """What the optimiser gets for one step; ``momentum`` (Adam's beta1) None leaves the optimiser's own."""

    lr: float
    momentum: float | None = None


class Schedule(PluginRecord):
    """Settings of a schedule; a plugin adds fields and :meth:`rate`.

    The rate is a closed form of the position, so that a resumed run continues exactly. ``follows`` says what it depends
    on: under a budget of time, a schedule that follows steps gets the share of the budget that is spent as its step,
    one that follows epochs the number of epochs that fit.
    """

    registry: ClassVar[Registry[type[Schedule]]]
    follows: ClassVar[Literal["steps", "epochs"]] = "epochs"

    @abstractmethod
    def rate(self, position: Position) -> Rate:
        """The rate of the step at a position."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule", "stbench.schedules", record_check(Schedule))
Schedule.registry = SCHEDULES


def half_cosine(start: float, end: float, part: float) -> float:
    """Half a cosine from ``start`` (part 0) to ``end`` (part 1).

    >>> half_cosine(2.0, 0.0, 0.5)
    1.0
    """
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * part))
