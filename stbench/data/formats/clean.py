"""Cleaning of a series of labelled slots: duplicates, incomplete days, all but the longest block.

A slot is the number of a time step counted over all days, so that neighbours differ by one. Axes: T time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Frames

Slots = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clean:
    """What to drop from a series besides duplicates.

    Attributes:
        slots_per_day: number of slots of a complete day.
        incomplete_days: drop all days with a missing slot.
        longest_block: keep only the longest run of consecutive slots.
    """

    slots_per_day: int
    incomplete_days: bool
    longest_block: bool


@dataclass(frozen=True)
class Dropped:
    """Numbers of frames dropped from a series, by reason."""

    duplicated: int = 0
    incomplete_days: int = 0
    outside_block: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.duplicated + other.duplicated,
            self.incomplete_days + other.incomplete_days,
            self.outside_block + other.outside_block,
        )


def clean(slots_T: Slots, load: Callable[[], Frames], rule: Clean) -> tuple[Slots, Dropped]:
    """Return the rows to keep, in time order, and the numbers dropped by reason.

    A slot that occurs more than once with different content is dropped, because the right row is unknown; identical
    rows count once. Then days with a missing slot are dropped, and all but the longest block.

    Args:
        slots_T: the slot of each row.
        load: returns the frames (T, …), to compare rows of duplicated slots; called only if there are any.
        rule: what else to drop.
    """
    rows = _without_duplicates(slots_T, load)
    duplicated = len(slots_T) - len(rows)
    whole = _in_whole_days(slots_T[rows], rule.slots_per_day) if rule.incomplete_days else np.ones(len(rows), bool)
    rows = rows[whole]
    block = slice(0, len(rows))
    if rule.longest_block:
        runs = consecutive_runs(slots_T[rows])
        block = slice(*max(runs, key=lambda run: run[1] - run[0], default=(0, 0)))
    return rows[block], Dropped(duplicated, int((~whole).sum()), len(rows) - len(rows[block]))


def consecutive_runs(slots: Slots) -> list[tuple[int, int]]:
    """Return half-open ranges of positions over which ``slots`` (ascending) go up by exactly one.

    >>> import numpy as np
    >>> consecutive_runs(np.array([3, 4, 5, 9, 10]))
    [(0, 3), (3, 5)]
    """
    edges = np.flatnonzero(np.diff(slots) != 1) + 1
    bounds = [0, *edges.tolist(), len(slots)]
    return [(a, b) for a, b in pairwise(bounds) if b > a]


def _without_duplicates(slots_T: Slots, load: Callable[[], Frames]) -> Slots:
    """Sort rows by time; keep one row of a slot if all its rows are equal, else none."""
    order = np.argsort(slots_T, kind="stable")
    slots = slots_T[order]
    again = np.flatnonzero(np.diff(slots) == 0)
    if not len(again):
        return order
    frames = load()
    differs = (frames[order[again]] != frames[order[again + 1]]).any(axis=tuple(range(1, frames.ndim)))
    dropped = np.isin(slots, slots[again[differs]])
    dropped[again + 1] = True
    return order[~dropped]


def _in_whole_days(slots: Slots, slots_per_day: int) -> npt.NDArray[np.bool_]:
    _, day, count = np.unique(slots // slots_per_day, return_inverse=True, return_counts=True)
    return np.asarray(count[day] == slots_per_day)
