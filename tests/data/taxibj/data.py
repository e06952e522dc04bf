"""Tiny TaxiBJ: four files of half-hour slots 01 … 48 with the defects a reader must survive.

BJ13 is clean but not in time order, BJ14 has days with missing slots, BJ15 duplicated labels (a differing pair, an
identical pair), BJ16 a gap of two days.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

from tests_flow_layout import Expected, Row, time_of, write_h5

SLOTS = 48
NAMES = [f"BJ{year}_M32x32_T30_InOut.h5" for year in (13, 14, 15, 16)]
STARTS = [date(2013, 7, 1), date(2014, 3, 1), date(2015, 3, 1), date(2015, 11, 1)]
DAYS = 8
MISSING = {(2, 17), (2, 18), (5, 1)}  # (day, slot) of BJ14
GAP_DAYS = {3, 4}  # of BJ16
DIFFERING = (1, 40)  # (day, slot) of BJ15
IDENTICAL = (6, 48)


def write(folder: Path, size: tuple[int, int, int]) -> Expected:
    """Write the four files; return what is good in them."""
    fresh = count()
    expected = Expected()
    for name, start in zip(NAMES, STARTS, strict=True):
        days = [_day(start + timedelta(days=day), fresh) for day in range(DAYS)]
        rows, good = _damaged(name, days, fresh, expected)
        write_h5(folder / name, rows, size)
        expected.place |= {row.number: (name, time_of(row, SLOTS)) for row in good if row.number is not None}
    return expected


def _day(day: date, fresh: Iterator[int]) -> list[Row]:
    return [Row(day, slot, next(fresh)) for slot in range(1, SLOTS + 1)]


def _damaged(name: str, days: list[list[Row]], fresh: Iterator[int], expected: Expected) -> tuple[list[Row], list[Row]]:
    """Rows as written, and those a reader should keep."""
    every = [row for day in days for row in day]
    if name == NAMES[0]:
        return every[100:] + every[:100], every
    if name == NAMES[1]:
        missing = {id(days[day][slot - 1]) for day, slot in MISSING}
        broken = {day for day, _ in MISSING}
        expected.incomplete += SLOTS * len(broken) - len(missing)
        good = [row for number, day in enumerate(days) if number not in broken for row in day]
        return [row for row in every if id(row) not in missing], good
    if name == NAMES[2]:
        first, second = (days[day][slot - 1] for day, slot in (DIFFERING, IDENTICAL))
        expected.duplicated += 2 + 1
        expected.incomplete += SLOTS - 1
        good = [row for number, day in enumerate(days) if number != DIFFERING[0] for row in day]
        return [*every, Row(first.day, first.slot, next(fresh)), Row(second.day, second.slot, second.number)], good
    kept = [row for number, day in enumerate(days) if number not in GAP_DAYS for row in day]
    return kept, kept
