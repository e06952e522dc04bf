"""The usual step between the times of frames, and where a series leaves it. Axes: T time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Seconds
from stbench.errors import counted

DAY = 86400.0
SHORTEST_MONTH, LONGEST_MONTH = 28, 31
JITTER = 0.1  # of a step: clocks of cameras tremble, a frame that is missing makes a whole step more
RESOLUTION = 1e-3  # steps that differ by less than a millisecond are the same


def usual_step(steps_T: Seconds) -> float:
    """Return the step that most of these agree with: the most common one, or the median where hardly two are equal."""
    distinct, counts = np.unique(np.round(steps_T / RESOLUTION), return_counts=True)
    common = float(distinct[counts.argmax()] * RESOLUTION)
    if common <= 0:
        common = float(steps_T[np.abs(steps_T - distinct[counts.argmax()] * RESOLUTION).argmin()])
    middle = float(np.median(steps_T))
    return middle if goes_on(steps_T, middle).sum() > goes_on(steps_T, common).sum() else common


def goes_on(steps_T: Seconds, step: float) -> npt.NDArray[np.bool_]:
    """Tell which steps are ``step`` seconds, within a tenth; months of 28 to 31 days count as equal."""
    months = months_of(step)
    if months is not None:
        low, high = SHORTEST_MONTH * months * DAY, LONGEST_MONTH * months * DAY
        return np.asarray((steps_T >= low) & (steps_T <= high))
    return np.asarray(np.abs(steps_T - step) <= JITTER * abs(step))


def months_of(step: float) -> int | None:
    """Return the whole months that a step stands for; None if it is shorter than one."""
    if step < SHORTEST_MONTH * DAY:
        return None
    months = max(1, round(step / (30.4375 * DAY)))
    return months if SHORTEST_MONTH * months * DAY <= step <= LONGEST_MONTH * months * DAY else None


def step_text(step: float) -> str:
    """Return a step with its unit.

    >>> step_text(30.0), step_text(0.1), step_text(21600.0), step_text(31 * DAY)
    ('30 s', '0.1 s', '6 h', '1 month')
    """
    months = months_of(step)
    if months is not None:
        return counted(months, "month")
    for size, unit in ((DAY, "day"), (3600.0, "h"), (60.0, "min")):
        if step >= size and abs(step / size - round(step / size)) < 1e-9:
            number = round(step / size)
            return counted(number, unit, "days" if unit == "day" else unit)
    return f"{step:.6g} s"
