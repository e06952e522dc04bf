"""What the builders of flow files share: frames that carry their own number, and the HDF5 layout."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import h5py
import numpy as np

BASE = 64


@dataclass
class Row:
    """One row of a file: its label and the number its frame carries (None: an all-zero frame)."""

    day: date
    slot: int
    number: int | None


@dataclass
class Expected:
    """What a correct reader keeps: for every good frame number, its file and its place in time."""

    place: dict[int, tuple[str, int]] = field(default_factory=dict)
    duplicated: int = 0
    incomplete: int = 0
    outside: int = 0


def frame(number: int | None, size: tuple[int, int, int]) -> np.ndarray:
    """Counts (C, H, W) whose first two cells hold ``number`` in base 64; the rest is noise below 64."""
    if number is None:
        return np.zeros(size)
    counts = np.random.default_rng(number).integers(0, BASE, size).astype(np.float64)
    counts[0, 0, 0], counts[0, 0, 1] = divmod(number, BASE)
    return counts


def numbers(clips_BTCHW: np.ndarray) -> np.ndarray:
    """Frame numbers (B, T) read back from counts."""
    cells = np.rint(clips_BTCHW[:, :, 0, 0, :2]).astype(int)
    return cells[..., 0] * BASE + cells[..., 1]


def write_h5(path: Path, rows: list[Row], size: tuple[int, int, int]) -> None:
    """A file in the TaxiBJ layout: ``data`` float64 (T, C, H, W), ``date`` S10 (T,)."""
    labels = [f"{row.day:%Y%m%d}{row.slot:02d}".encode() for row in rows]
    with h5py.File(path, "w") as file:
        file["data"] = np.stack([frame(row.number, size) for row in rows])
        file["date"] = np.array(labels, dtype="S10")


def time_of(row: Row, slots_per_day: int) -> int:
    """Slots since the calendar began, up to a constant."""
    return row.day.toordinal() * slots_per_day + row.slot
