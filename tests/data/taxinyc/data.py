"""Tiny TaxiNYC: five files of hours 00 … 23, each a short block, duplicated days, a gap, and the longest block last."""

from datetime import date, timedelta
from itertools import count
from pathlib import Path

from tests_flow_layout import Expected, Row, time_of, write_h5

SLOTS = 24
NAMES = [f"NYC{year}_Taxi_M16x8_T60_InOut.h5" for year in (10, 11, 12, 13, 14)]
FIRST_DAYS = 4
DUPLICATED_DAYS = 2
BLOCK_DAYS = 9
BLOCK_START = 30  # days after 1 January


def write(folder: Path, size: tuple[int, int, int]) -> Expected:
    """Write the five files; return what is good in them."""
    fresh = count()
    expected = Expected()
    for year, name in enumerate(NAMES, start=2010):
        first = date(year, 1, 1)
        rows = [Row(first + timedelta(day), hour, next(fresh)) for day in range(FIRST_DAYS) for hour in range(SLOTS)]
        expected.outside += len(rows)
        for day in range(FIRST_DAYS, FIRST_DAYS + DUPLICATED_DAYS):
            rows += [Row(first + timedelta(day), hour, next(fresh)) for hour in range(SLOTS)]
            rows += [Row(first + timedelta(day), hour, None) for hour in range(SLOTS)]
            expected.duplicated += 2 * SLOTS
        days = range(BLOCK_START, BLOCK_START + BLOCK_DAYS)
        block = [Row(first + timedelta(day), hour, next(fresh)) for day in days for hour in range(SLOTS)]
        write_h5(folder / name, rows + block, size)
        expected.place |= {row.number: (name, time_of(row, SLOTS)) for row in block if row.number is not None}
    return expected
