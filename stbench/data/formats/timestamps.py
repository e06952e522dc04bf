"""Convert times as files write them into minutes since 1970-01-01 00:00 on the data's own clock."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Minutes
from stbench.errors import UserError

PER_MINUTE = {"hours": 1 / 60, "minutes": 1, "seconds": 60, "milliseconds": 60e3, "microseconds": 60e6, "ns": 60e9}
UNITS = {"days": 24 * 60.0, "hours": 60.0, "minutes": 1.0, "seconds": 1 / 60}
FIRST, LAST = np.datetime64("1975-01-01"), np.datetime64("2100-01-01")
STAMP = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_]?(\d{2})[-_]?(\d{2})[-_T]?(\d{2})[-_:]?(\d{2})")


def minutes_of_numbers(times: npt.NDArray[Any]) -> Minutes | None:
    """Return minutes of dates, or of whole numbers since 1970; None if neither fits (a plain index, say).

    Numbers are read in the coarsest unit that puts them between 1975 and 2100.
    """
    if times.ndim != 1 or not len(times):
        return None
    if times.dtype.kind == "M":
        return times.astype("M8[m]").astype(np.int64)
    if times.dtype.kind not in "iu":
        return None
    low, high = (int(edge.astype("M8[m]").astype(np.int64)) for edge in (FIRST, LAST))
    for per_minute in PER_MINUTE.values():
        minutes = times / per_minute
        if minutes.min() >= low and minutes.max() < high:
            return np.floor(minutes + 1e-6).astype(np.int64)
    return None


def minutes_of_units(times: npt.NDArray[Any], units: str, where: str) -> Minutes:
    """Return minutes of numbers with a unit as NetCDF writes it, "hours since 1900-01-01 00:00:0.0".

    Raises:
        UserError: the unit cannot be read.
    """
    found = re.match(r"\s*(days?|hours?|minutes?|seconds?)\s+since\s+(\d{1,4})-(\d{1,2})-(\d{1,2})(.*)", units)
    if found is None:
        raise UserError(f"{where}: the unit of time {units!r} is not of the form 'hours since 1900-01-01'.")
    unit, year, month, day, rest = found.groups()
    clock = re.match(r"[T\s]+(\d{1,2}):(\d{1,2})", rest)
    hour, minute = (int(part) for part in clock.groups()) if clock else (0, 0)
    start = np.datetime64(f"{int(year):04d}-{int(month):02d}-{int(day):02d}", "m") + 60 * hour + minute
    scaled = np.rint(np.asarray(times, dtype=np.float64) * UNITS[unit.rstrip("s") + "s"]).astype(np.int64)
    return scaled + int(start.astype(np.int64))


def minutes_of_names(names: list[str]) -> Minutes | None:
    """Return minutes read off file names that all hold a date and time, as in ``rain_201008260005.h5``; else None."""
    found = [STAMP.search(name) for name in names]
    if not all(found):
        return None
    try:
        stamps = ["{}-{}-{}T{}:{}".format(*match.groups()) for match in found if match]
        return np.array(stamps, dtype="M8[m]").astype(np.int64)
    except ValueError:
        return None
