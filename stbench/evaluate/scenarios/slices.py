"""``slice:hours=7-9,16-18`` or ``slice:above=10``: parts of the test split by time of day, weekday or content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from stbench.data import Indices
from stbench.errors import UserError
from stbench.evaluate.scenarios.scenario import Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import View
from stbench.nn.calendar import group_of

_BATCH, _HOURS = 64, 24


class Slice(Scenario):
    """Parts of the test split, told by the first predicted frame or by the truth.

    ``hours``: of the day, as 7-9,16-18; ``days``: ``weekdays`` or ``weekends``; ``above``: clips whose true future
    reaches this value, in physical units.
    """

    kind: Literal["slice"] = "slice"
    example: ClassVar[str] = "slice:above=0.5"
    hours: str | None = None
    days: Literal["weekdays", "weekends"] | None = None
    above: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Slice:
        if self.hours is None and self.days is None and self.above is None:
            raise ValueError("give hours, days or above, as slice:hours=7-9")
        return self

    def cases(self, run: Finished) -> Sequence[Case]:
        """All scored clips, then those of the slice.

        Raises:
            UserError: the data have no dates, hours cannot be read, or no clip is in the slice.
        """
        inside = np.ones(len(run.scored), dtype=bool)
        if self.hours is not None or self.days is not None:
            inside &= self._in_time(run)
        if self.above is not None:
            parts = (run.scored[i : i + _BATCH] for i in range(0, len(run.scored), _BATCH))
            inside &= np.concatenate([_reaches(run, part, self.above) for part in parts])
        if not inside.any():
            raise UserError(f"{self.name}: none of {len(inside)} test clips is in this slice.")
        t_out = run.spec.shape.t_out
        return [
            Case(label, None, with_test(run.dataset, View(run.dataset.test, chosen)), t_out)
            for label, chosen in (("all", run.scored), (self.name.partition(":")[2], run.scored[inside]))
        ]

    def _in_time(self, run: Finished) -> npt.NDArray[np.bool_]:
        seconds = run.dataset.test.times(run.scored)
        if seconds is None:
            raise UserError(f"{self.name}: {run.spec.benchmark} has no dates.")
        first = seconds[:, run.spec.shape.t_in]
        group = group_of(torch.from_numpy(first), "weekday_time_of_day", _HOURS).numpy() - 1  # weekends follow weekdays
        inside = np.ones(len(first), dtype=bool)
        if self.hours is not None:
            hour = group % _HOURS
            inside &= np.any([(hour >= low) & (hour <= high) for low, high in _ranges(self.hours)], axis=0)
        if self.days is not None:
            weekend = group >= _HOURS
            inside &= weekend if self.days == "weekends" else ~weekend
        return inside


def _reaches(run: Finished, numbers: Indices, value: float) -> npt.NDArray[np.bool_]:
    future = run.dataset.to_physical(run.dataset.test.clips(numbers, 0))[:, run.spec.shape.t_in :]
    return np.asarray((future >= value).flatten(1).any(1).numpy())


def _ranges(text: str) -> list[tuple[int, int]]:
    try:
        pairs = [part.split("-") for part in text.split(",")]
        return [(int(pair[0]), int(pair[-1])) for pair in pairs]
    except ValueError:
        raise UserError(f"slice:hours={text}: expected hours of the day, as 7-9,16-18.") from None
