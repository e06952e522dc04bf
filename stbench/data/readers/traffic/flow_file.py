"""One file of gridded flow in the TaxiBJ HDF5 layout, read and cleaned.

The file holds ``data`` (T, C, H, W) and ``date``, bytes ``YYYYMMDDSS`` (day and slot of the day). Slots are numbered
over all days (day since 1970 x slots per day + slot of the day), so that neighbours differ by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stbench.data.splits.windows import consecutive_runs
from stbench.errors import UserError

Slots = npt.NDArray[np.int64]
Frames = npt.NDArray[np.float32]
DATE_DIGITS = 10


@dataclass(frozen=True)
class Calendar:
    """How slots are labelled: ``slots_per_day`` of them, the first one of a day called ``first_slot``."""

    slots_per_day: int
    first_slot: int


@dataclass
class Dropped:
    """Frames left out of a series, by reason."""

    duplicated: int = 0
    incomplete_days: int = 0
    outside_block: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.duplicated + other.duplicated,
            self.incomplete_days + other.incomplete_days,
            self.outside_block + other.outside_block,
        )


@dataclass
class FlowFile:
    """What one file holds after cleaning: counts (T, C, H, W) in time order, without a duplicated slot."""

    path: Path
    frames: Frames
    slots: Slots
    rows_read: int
    dropped: Dropped = field(default_factory=Dropped)

    def select(self, keep: npt.NDArray[np.bool_ | np.int64]) -> None:
        """Keep some frames, in the order given."""
        self.frames = self.frames[keep]
        self.slots = self.slots[keep]


def read_flow_file(
    path: Path, frame: tuple[int, int, int], calendar: Calendar, *, whole_days: bool, longest_block: bool
) -> FlowFile:
    """Read and clean one file.

    A slot that occurs more than once with different content is dropped altogether, since nothing says which row is
    right; identical rows count once. Then days with a missing slot are dropped (``whole_days``), and all but the
    longest stretch of consecutive slots (``longest_block``).

    Raises:
        UserError: the file cannot be read, lacks a key, holds another frame size, a date that is none, or values
            that are not finite.
    """
    data, dates = _read_arrays(path)
    _check_shapes(path, data, dates, frame)
    file = FlowFile(path, data, parse_slots(dates, calendar, str(path)), rows_read=len(data))
    file.dropped.duplicated = _drop_duplicates(file)
    if whole_days:
        file.dropped.incomplete_days = _drop_incomplete_days(file, calendar.slots_per_day)
    if longest_block:
        file.dropped.outside_block = _keep_longest_block(file)
    return file


def parse_slots(dates: npt.NDArray[np.bytes_], calendar: Calendar, where: str) -> Slots:
    """Slot numbers (T,) of labels ``YYYYMMDDSS``.

    Raises:
        UserError: a label that is not ten digits, not a day of the calendar, or a slot outside the day.
    """
    numeric = np.char.isdigit(dates) & (np.char.str_len(dates) == DATE_DIGITS)
    _refuse(~numeric, dates, where, "is not of the form YYYYMMDDSS")
    codes = dates.astype(np.int64)
    years, months, days, labels = codes // 10**6, codes // 10**4 % 100, codes // 100 % 100, codes % 100
    month = (years - 1970).astype("M8[Y]").astype("M8[M]") + (months - 1)
    day = month.astype("M8[D]") + (days - 1)
    real = (months >= 1) & (months <= 12) & (days >= 1) & (day.astype("M8[M]") == month)
    _refuse(~real, dates, where, "is not a day of the calendar")
    slots = labels - calendar.first_slot
    last = calendar.first_slot + calendar.slots_per_day - 1
    outside = (slots < 0) | (slots >= calendar.slots_per_day)
    _refuse(outside, dates, where, f"has a slot outside {calendar.first_slot:02d} to {last:02d}")
    return day.astype(np.int64) * calendar.slots_per_day + slots


def _refuse(bad: npt.NDArray[np.bool_], dates: npt.NDArray[np.bytes_], where: str, why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{where}: date {dates[row].decode(errors='replace')!r} in row {row} {why} "
            f"({int(bad.sum())} such rows). Check the file, or slots_per_day and first_slot in the dataset options."
        )


def _read_arrays(path: Path) -> tuple[Frames, npt.NDArray[np.bytes_]]:
    try:
        with h5py.File(path, "r") as file:
            absent = [key for key in ("data", "date") if key not in file]
            if absent:
                raise UserError(
                    f"{path} lacks the key {absent[0]!r}; it holds: {', '.join(sorted(file)) or 'nothing'}. "
                    "A flow file must hold 'data' (T, C, H, W) and 'date' (T,)."
                )
            _check_kinds(path, file)
            return file["data"][...].astype(np.float32), np.asarray(file["date"][...]).astype(np.bytes_)
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read as HDF5 (cut short or damaged?): {error}. Fetch the file again."
        ) from error


def _check_kinds(path: Path, file: h5py.File) -> None:
    """``data`` must hold numbers, ``date`` texts or whole numbers."""
    for key, kinds, wanted in (("data", "uif", "numbers"), ("date", "SOiu", "labels YYYYMMDDSS")):
        item = file[key]
        held = str(item.dtype) if isinstance(item, h5py.Dataset) else "a group"
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in kinds:
            raise UserError(f"{path}: {key!r} holds {held}, expected {wanted}. Is this the file it should be?")


def _check_shapes(path: Path, data: Frames, dates: npt.NDArray[np.bytes_], frame: tuple[int, int, int]) -> None:
    if data.ndim != 4 or data.shape[1:] != frame:
        expected = ", ".join(str(size) for size in frame)
        raise UserError(f"{path}: 'data' has shape {data.shape}, expected (T, {expected}).")
    if dates.shape != (len(data),):
        raise UserError(f"{path}: 'date' has shape {dates.shape}, expected ({len(data)},), one for each row of 'data'.")
    finite = np.isfinite(data).all(axis=(1, 2, 3))
    if not finite.all():
        raise UserError(
            f"{path}: row {int(np.argmin(finite))} of 'data' holds NaN or infinity ({int((~finite).sum())} such rows)."
        )


def _drop_duplicates(file: FlowFile) -> int:
    """Sort by time; of a slot's rows keep one where all are equal, else none. Returns the rows dropped."""
    before = len(file.slots)
    file.select(np.argsort(file.slots, kind="stable"))
    again = np.flatnonzero(np.diff(file.slots) == 0)
    differs = (file.frames[again] != file.frames[again + 1]).any(axis=(1, 2, 3))
    contradicted = np.isin(file.slots, file.slots[again[differs]])
    repeated = np.zeros(before, dtype=bool)
    repeated[again + 1] = True
    file.select(~contradicted & ~repeated)
    return before - len(file.slots)


def _drop_incomplete_days(file: FlowFile, slots_per_day: int) -> int:
    _, day, count = np.unique(file.slots // slots_per_day, return_inverse=True, return_counts=True)
    whole = count[day] == slots_per_day
    file.select(whole)
    return int((~whole).sum())


def _keep_longest_block(file: FlowFile) -> int:
    before = len(file.slots)
    start, stop = max(consecutive_runs(file.slots), key=lambda run: run[1] - run[0], default=(0, 0))
    file.select(np.arange(start, stop))
    return before - (stop - start)
