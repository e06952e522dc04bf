"""Times as files write them, converted to seconds since 1970-01-01 00:00 on the data's own clock and calendar.

Seconds are float64, so that steps below a second survive. In a calendar other than the usual one they count elapsed
time in that calendar, so that equal steps stay equal. Axes: T time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stbench.data.formats.extras import needed
from stbench.data.formats.recording import STANDARD, Seconds
from stbench.errors import UserError

PER_SECOND = {"hours": 1 / 3600, "minutes": 1 / 60, "seconds": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
COARSE = ("hours", "minutes")  # units that only whole numbers are read in
EARLIEST, FIRST, LAST, LATEST = (
    float(np.datetime64(f"{year}-01-01", "s").astype(np.int64)) for year in (-9999, 1975, 2100, 10000)
)
UNITS = {
    "d": 86400.0,
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}
UNIT_NAMES = {
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("month", "months"), "month"),
    **dict.fromkeys(("year", "years"), "year"),
}
SINCE = re.compile(r"\s*([A-Za-z]+)\s+since\s+(-?\d{1,4})-(\d{1,2})-(\d{1,2})(.*)", re.DOTALL)
CLOCK = re.compile(r"[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?")
GREGORIAN = ("standard", "gregorian", "proleptic_gregorian", "")
REFORM = 1583  # before it the calendar called "standard" is Julian
DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
SLOT_DIGITS = 10
STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d{2})([-_./]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:[-_T ./]*([01]\d|2[0-4])(?:[-_:.hH]?([0-5]\d)(?:[-_:.mM]?([0-5]\d)(?:[._](\d{3})(?!\d))?)?)?)?(?!\d)"
)
EPOCH = re.compile(r"(?<!\d)(\d{10}|\d{13}|\d{16}|\d{19})(?!\d)")


@dataclass(frozen=True)
class Times:
    """When the frames of a recording were taken.

    Attributes:
        seconds: since 1970-01-01 00:00 (T,); None if no times were understood.
        calendar: in which they count.
        why: what was found instead, where none were understood.
    """

    seconds: Seconds | None
    calendar: str = STANDARD
    why: str = ""


def times_of_values(values: npt.NDArray[Any], where: str) -> Times:
    """Read dates, texts of dates, or numbers that stand for dates.

    Understood are datetime64; ISO texts; digits YYYYMMDD with hours, minutes and seconds or without (texts or numbers);
    and numbers since 1970 in the coarsest unit that puts them between 1975 and 2100.

    Raises:
        UserError: a time is missing (NaT), goes back or occurs twice.
    """
    values = np.ravel(values)
    seconds = _of_dates(values, where) if values.dtype.kind == "M" else None
    if values.dtype.kind in "SUO":
        seconds = _of_texts(values, where)
    elif values.dtype.kind in "iuf":
        seconds = _of_numbers(values, where)
    if seconds is None:
        span = f"{values[0]} to {values[-1]}" if len(values) else "nothing"
        return Times(None, why=f"{where} holds {span}, which are no dates")
    return Times(in_order(seconds, where))


def times_of_units(values: npt.NDArray[Any], units: str, calendar: str, where: str) -> Times:
    """Read numbers with a unit as NetCDF writes it, "hours since 1900-01-01 00:00:0.0".

    Raises:
        UserError: the unit cannot be read, a time is missing, goes back or occurs twice.
    """
    found = SINCE.match(units)
    unit = UNIT_NAMES.get(found[1].lower()) if found else None
    if found is None or unit is None:
        raise UserError(
            f"{where}: the unit of time {units!r} is not of the form 'hours since 1900-01-01'. Correct it in the file."
        )
    numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan).ravel()
    calendar = calendar.strip().lower()
    _refuse_missing(np.isnan(numbers), where)
    plain = calendar in GREGORIAN and (int(found[2]) >= REFORM or calendar == "proleptic_gregorian")
    if unit in ("month", "year"):
        return Times(in_order(_of_months(numbers * (12 if unit == "year" else 1), found, calendar, where), where))
    if not plain:
        return _in_calendar(numbers, units, calendar or STANDARD, where)
    clock = CLOCK.match(found[5])
    hour, minute, second = (float(part or 0) for part in (clock.groups() if clock else (0, 0, 0)))
    start = np.datetime64(f"{int(found[2]):04d}-{int(found[3]):02d}-{int(found[4]):02d}", "s").astype(np.int64)
    offset = float(start) + 3600 * hour + 60 * minute + second
    plain_seconds: Seconds = np.asarray(np.round(numbers * UNITS[unit] + offset, 6), dtype=np.float64)
    return Times(in_order(plain_seconds, where))


def times_of_names(names: Sequence[str]) -> Times:
    """Read a date off each path (without suffix): ``rain_201008260005``, ``2010-08-26``, ``20100826/0005``.

    Raises:
        UserError: two names hold the same time, or a later name an earlier one.
    """
    stems = [name.rpartition("/")[2] for name in names]
    for texts in (stems, list(names)):
        found = [_stamp(text) for text in texts]
        if all(stamp is not None for stamp in found):
            seconds = np.array(found, dtype=np.float64)
            only_days = not (seconds % 86400).any()
            if only_days and len(np.unique(seconds)) < len(seconds):
                continue  # a date that many frames share does not tell when each was taken
            return Times(in_order(seconds, "the file names", names))
    epochs = [EPOCH.search(stem) for stem in stems]
    if all(epochs) and len({len(match[1]) for match in epochs if match}) == 1:
        numbers = np.array([int(match[1]) for match in epochs if match], dtype=np.int64)
        seconds_T = _since_1970(numbers)
        if seconds_T is not None:
            return Times(in_order(seconds_T, "the file names", names))
    return Times(None, why="the file names hold no dates")


def in_order(seconds: Seconds, where: str, names: Sequence[str] | None = None) -> Seconds:
    """Return times (T,) that are all there, within the years −9999 to 9999, and rise.

    Raises:
        UserError: a time is missing, out of these years, goes back or occurs twice.
    """
    _refuse_missing(np.isnan(seconds), where)
    advice = "Check their unit and what they count from."
    _refuse((seconds < EARLIEST) | (seconds >= LATEST), where, "outside the years −9999 to 9999", advice)
    steps = np.diff(seconds)
    if (steps > 0).all():
        return seconds
    bad = int(np.argmax(steps <= 0))
    again, back = int((steps == 0).sum()), int((steps < 0).sum())
    at = f"frames {bad} and {bad + 1}" if names is None else f"{names[bad]} and {names[bad + 1]}"
    what = "have the same time" if steps[bad] == 0 else "go back in time"
    raise UserError(
        f"{where}: {at} {what} ({date_text(seconds[bad])}, then {date_text(seconds[bad + 1])}); {again} such "
        f"repetitions and {back} steps back in all. Sort the frames by time and keep one of each time; put different "
        "places or cameras into folders of their own."
    )


def date_text(seconds: float, calendar: str = STANDARD) -> str:
    """Return a time as text, in its calendar, without parts that are zero.

    >>> date_text(951782400.0), date_text(951782430.5)
    ('2000-02-29 00:00', '2000-02-29 00:00:30.5')
    """
    if calendar != STANDARD:
        import cftime

        stamp = cftime.num2date(seconds, "seconds since 1970-01-01", calendar)
        return stamp.strftime("%Y-%m-%d %H:%M")  # type: ignore[no-any-return]
    date, _, clock = str(np.datetime64(round(seconds * 1e6), "us")).partition("T")
    clock = clock.rstrip("0").rstrip(".") if clock[9:] != "000000" else clock[:8]
    return f"{date} {clock[:5] if clock.endswith(':00') and len(clock) == 8 else clock}"


def _refuse_missing(missing: npt.NDArray[np.bool_], where: str) -> None:
    _refuse(missing, where, "missing (NaT)", "Fill them in, or leave those frames out.")


def _refuse(which: npt.NDArray[np.bool_], where: str, what: str, advice: str) -> None:
    if which.any():
        first = int(np.argmax(which))
        raise UserError(
            f"{where}: {int(which.sum())} of {len(which)} times are {what}, first that of frame {first}. {advice}"
        )


def _of_dates(values: npt.NDArray[Any], where: str) -> Seconds:
    _refuse_missing(np.isnat(values), where)
    whole = values.astype("M8[s]")
    seconds: Seconds = whole.astype(np.float64) + (values - whole) / np.timedelta64(1, "ns") * 1e-9
    return seconds


def _of_texts(values: npt.NDArray[Any], where: str) -> Seconds | None:
    texts = [item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in values.tolist()]
    texts = [text.strip().removesuffix("Z") for text in texts]
    _refuse_missing(np.array([text.lower() in ("nat", "nan", "none", "") for text in texts], dtype=bool), where)
    if all(text.isdigit() for text in texts):
        return _of_digits(texts)
    import pandas as pd

    try:
        stamps = pd.to_datetime(pd.Series(texts), format="ISO8601")
    except (ValueError, TypeError, OverflowError):
        return None
    stamps = stamps.dt.tz_localize(None) if stamps.dt.tz is not None else stamps
    return _of_dates(stamps.to_numpy(), where)


def _of_digits(texts: Sequence[str]) -> Seconds | None:
    """Seconds of YYYYMMDD… texts of one length; hours counted from 1 and half hours (01 to 48) are slots of the day."""
    lengths = {len(text) for text in texts}
    if len(lengths) != 1 or (length := lengths.pop()) not in DIGITS or not all("19" <= t[:2] <= "20" for t in texts):
        return None
    shift: Seconds = np.zeros(len(texts))
    if length == SLOT_DIGITS:
        slots = np.array([int(text[-2:]) for text in texts])
        per_day = 48 if slots.max() > 24 else 24
        if slots.max() > 48:
            return None
        first = 1 if slots.max() in (24, 48) and slots.min() >= 1 else 0
        shift = (slots - first) * 86400.0 / per_day
        texts, length = [text[:8] for text in texts], 8
    import pandas as pd

    try:
        stamps = pd.to_datetime(pd.Series(texts), format=DIGITS[length]).to_numpy()
    except (ValueError, TypeError):
        return None
    return _of_dates(stamps, "") + shift


def _of_numbers(values: npt.NDArray[Any], where: str) -> Seconds | None:
    if values.dtype.kind == "f":
        _refuse_missing(np.isnan(values), where) if np.isnan(values).any() and not np.isnan(values).all() else None
        if not np.isfinite(values).all():
            return None
    if not len(values):
        return None
    whole = (values == np.rint(values)).all()
    if whole and np.abs(values).max() < 1e15:
        digits = _of_digits([str(int(value)) for value in values])
        if digits is not None:
            return digits
    return _since_1970(values if whole or values.dtype.kind != "f" else values.astype(np.float64))


def _since_1970(values: npt.NDArray[Any]) -> Seconds | None:
    for unit, per_second in PER_SECOND.items():
        if unit in COARSE and values.dtype.kind == "f":
            continue
        seconds = values / per_second
        if seconds.min() >= FIRST and seconds.max() < LAST:
            return np.asarray(np.round(seconds, 6), dtype=np.float64)
    return None


def _of_months(numbers: npt.NDArray[np.float64], since: re.Match[str], calendar: str, where: str) -> Seconds:
    if calendar not in GREGORIAN or (numbers != np.rint(numbers)).any():
        raise UserError(
            f"{where}: months or years since a date are read as whole numbers in the usual calendar; seen "
            f"{numbers[0]:g}, {numbers[-1]:g} ({calendar or STANDARD}). Write days since a date instead."
        )
    month = np.datetime64(f"{int(since[2]):04d}-{int(since[3]):02d}", "M") + numbers.astype(np.int64)
    day = month.astype("M8[D]") + (int(since[4]) - 1)
    return np.asarray(day.astype("M8[s]").astype(np.int64), dtype=np.float64)


def _in_calendar(numbers: npt.NDArray[np.float64], units: str, calendar: str, where: str) -> Times:
    """Read times of a climate model's calendar (noleap, 360_day, julian …) through cftime."""
    cftime = needed("cftime", f"{where} counts time in the calendar {calendar!r}")
    try:
        stamps = cftime.num2date(numbers, units, calendar)
        real = calendar in GREGORIAN
        seconds = cftime.date2num(stamps, "seconds since 1970-01-01", calendar)
    except (ValueError, OverflowError, TypeError) as error:
        raise UserError(f"{where}: {units!r} in the calendar {calendar!r} cannot be read: {error}.") from error
    elapsed: Seconds = np.asarray(seconds, dtype=np.float64)
    return Times(in_order(np.round(elapsed, 6), where), STANDARD if real else calendar)


def _stamp(text: str) -> float | None:
    """Return the seconds of the last date in a text; None if there is none."""
    matches: list[re.Match[str]] = list(STAMP.finditer(text))
    if not matches:
        return None
    year, _, month, day, hour, minute, second, milli = matches[-1].groups()
    try:
        date = np.datetime64(f"{year}-{month}-{day}", "s").astype(np.int64)
    except ValueError:
        return None
    clock = 3600 * int(hour or 0) + 60 * int(minute or 0) + int(second or 0)
    return float(date) + clock + int(milli or 0) / 1000
