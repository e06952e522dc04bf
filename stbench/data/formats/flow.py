"""Gridded flow in the files of the TaxiBJ family, one recording each, cleaned.

HDF5 files hold ``data`` (T, C, H, W) and ``date``, bytes ``YYYYMMDDSS`` (day and slot of the day). npz files hold
``flow`` (T, H, W, C) without dates, in time order and without a gap. Slots are numbered over all days (day since 1970
x slots per day + slot of the day): neighbours differ by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from stbench.data.formats.clean import Clean, Dropped, Slots, clean
from stbench.data.formats.guard import check_npz, open_h5
from stbench.data.formats.recording import Blocks, Frames, Recording, in_blocks
from stbench.errors import UserError

DATE_DIGITS = 10
SECONDS_PER_DAY = 24 * 3600
NPZ_KEY = "flow"
FLOAT = np.dtype(np.float32)


@dataclass(frozen=True)
class Calendar:
    """Labels of slots: ``slots_per_day`` slots, the first of a day labelled ``first_slot``."""

    slots_per_day: int
    first_slot: int

    @property
    def step(self) -> int:
        """Length of a slot in seconds."""
        return SECONDS_PER_DAY // self.slots_per_day


@dataclass(frozen=True)
class FlowFile:
    """A cleaned file: its recording and the numbers of frames read and dropped."""

    recording: Recording
    rows_read: int
    dropped: Dropped


def open_flow_h5(path: Path, frame: tuple[int, int, int], calendar: Calendar, rule: Clean) -> FlowFile:
    """Open and clean a dated file; its frames are read when they are decoded.

    Args:
        path: the file.
        frame: (C, H, W) that its frames must have.
        calendar: labels of its slots.
        rule: which frames are dropped.

    Raises:
        UserError: the file cannot be read, lacks a key, or holds another frame size or an invalid date.
    """
    shape, dates = _read_dates(path)
    if len(shape) != 4 or shape[1:] != frame:
        raise UserError(f"{path}: 'data' has shape {shape}, expected (T, {', '.join(map(str, frame))}).")
    if dates.shape != shape[:1]:
        raise UserError(f"{path}: 'date' has shape {dates.shape}, expected {shape[:1]}, one for each row of 'data'.")
    return _cleaned(path, parse_slots(dates, calendar, str(path)), partial(_load_h5, path), frame, calendar, rule)


def open_flow_npz(
    path: Path, frame: tuple[int, int, int], calendar: Calendar, rule: Clean, first_day: date
) -> FlowFile:
    """Open and clean an undated file; its first frame is the first slot of ``first_day``.

    Raises:
        UserError: the file cannot be read, lacks the key, or holds another frame size or values that are not finite.
    """
    length = len(_load_npz(path, frame))
    first = (first_day - date(1970, 1, 1)).days * calendar.slots_per_day
    slots = first + np.arange(length, dtype=np.int64)
    return _cleaned(path, slots, partial(_load_npz, path, frame), frame, calendar, rule)


def parse_slots(dates: npt.NDArray[np.bytes_], calendar: Calendar, where: str) -> Slots:
    """Return slot numbers (T,) of labels ``YYYYMMDDSS``.

    Raises:
        UserError: a label is not ten digits, names no day of the calendar, or has a slot outside the day.
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


def _cleaned(
    path: Path,
    slots_T: Slots,
    load: Callable[[], Frames],
    frame: tuple[int, int, int],
    calendar: Calendar,
    rule: Clean,
) -> FlowFile:
    rows, dropped = clean(slots_T, load, rule)
    if not len(rows):
        raise UserError(f"{path}: no frame is left of {len(slots_T)} after cleaning.")
    channels, height, width = frame
    recording = Recording(
        name=path.stem,
        paths=(path,),
        length=len(rows),
        frame=(height, width, channels),
        dtype=FLOAT,
        blocks=partial(_blocks, load, rows),
        seconds=(slots_T[rows] * calendar.step).astype(np.float64),
        variant=f"flow {calendar} {rule} from slot {slots_T[rows[0]]}",
    )
    return FlowFile(recording, len(slots_T), dropped)


def _blocks(load: Callable[[], Frames], rows: Slots) -> Blocks:
    yield from in_blocks(load()[rows].transpose(0, 2, 3, 1), FLOAT)


def _refuse(bad: npt.NDArray[np.bool_], dates: npt.NDArray[np.bytes_], where: str, why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{where}: date {dates[row].decode(errors='replace')!r} in row {row} {why} "
            f"({int(bad.sum())} such rows). Check the file, or slots_per_day and first_slot in the dataset options."
        )


def _read_dates(path: Path) -> tuple[tuple[int, ...], npt.NDArray[np.bytes_]]:
    """Return the shape of the data and the labels."""
    try:
        with open_h5(path) as file:
            absent = [key for key in ("data", "date") if key not in file]
            if absent:
                raise UserError(
                    f"{path} lacks the key {absent[0]!r}; it holds: {', '.join(sorted(file)) or 'nothing'}. "
                    "A flow file must hold 'data' (T, C, H, W) and 'date' (T,)."
                )
            _check_kinds(path, file)
            return file["data"].shape, np.asarray(file["date"][...]).astype(np.bytes_)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(path, "HDF5", error) from error


def _check_kinds(path: Path, file: h5py.File) -> None:
    """Reject ``data`` without numbers, and ``date`` with neither text nor integers."""
    for key, kinds, wanted in (("data", "uif", "numbers"), ("date", "SOiu", "labels YYYYMMDDSS")):
        item = file[key]
        held = str(item.dtype) if isinstance(item, h5py.Dataset) else "a group"
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in kinds:
            raise UserError(f"{path}: {key!r} holds {held}, expected {wanted}. Is this the file it should be?")


def _load_h5(path: Path) -> Frames:
    try:
        with open_h5(path) as file:
            data: Frames = file["data"][...].astype(FLOAT)
    except Exception as error:
        raise _unreadable(path, "HDF5", error) from error
    return _finite(data, path, "row", "data")


def _load_npz(path: Path, frame: tuple[int, int, int]) -> Frames:
    """Return frames (T, C, H, W)."""
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as file:
            if NPZ_KEY not in file.files:
                raise UserError(f"{path} lacks the key {NPZ_KEY!r}; it holds: {', '.join(file.files) or 'nothing'}.")
            frames: Frames = file[NPZ_KEY].astype(FLOAT)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(path, "npz", error) from error
    channels, height, width = frame
    if frames.ndim != 4 or frames.shape[1:] != (height, width, channels):
        raise UserError(f"{path}: {NPZ_KEY!r} has shape {frames.shape}, expected (T, {height}, {width}, {channels}).")
    return _finite(frames, path, "frame", NPZ_KEY).transpose(0, 3, 1, 2)


def _finite(frames: Frames, path: Path, what: str, key: str) -> Frames:
    finite = np.isfinite(frames).all(axis=(1, 2, 3))
    if not finite.all():
        raise UserError(
            f"{path}: {what} {int(np.argmin(finite))} of {key!r} holds NaN or infinity "
            f"({int((~finite).sum())} such {what}s)."
        )
    return frames


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as {kind} (cut short or damaged?): {error}. Fetch the file again.")
