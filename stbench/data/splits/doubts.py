"""Splits whose scores would mislead: interleaved in time (refused), small or one-sided (warned of).

Axes: F cached frames, N windows, T frames of a window.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stbench.data.formats.recording import Seconds
from stbench.data.formats.timestamps import date_text
from stbench.data.splits.windows import Placed, SplitWindows
from stbench.errors import UserError, counted

FEW_CLIPS = 20
MOST_TURNS = 1


def refuse_interleaved(windows: SplitWindows, seconds_F: Seconds, where: str) -> None:
    """Reject test clips that alternate with training clips in time, because neighbours in time resemble each other.

    Only dated frames of one place are checked; frames of several places share times.

    Raises:
        UserError: training and test take turns more than once.
    """
    train, test = (np.unique(seconds_F[part]) for part in (windows.train, windows.test))
    if np.isnan(train).any() or np.isnan(test).any() or np.isin(test, train).any():
        return
    times = np.concatenate([train, test])
    from_test = np.concatenate([np.zeros(len(train), bool), np.ones(len(test), bool)])[np.argsort(times)]
    back = int(((~from_test[1:]) & from_test[:-1]).sum())  # test is followed by training
    if back > MOST_TURNS:
        raise UserError(
            f"{where}: training and test frames take turns in time, {back} times (test lies between "
            f"{date_text(float(times.min()))} and {date_text(float(times.max()))}). Test frames next to training "
            "frames make every method look good: let test be the latest part, in a folder of its own or by --split."
        )


def warnings(windows: SplitWindows, recordings: Sequence[Placed], shared_out: bool) -> list[str]:
    """Return the warnings for a table about its test split: few clips, or recordings of one kind among several.

    Args:
        windows: of the splits.
        recordings: places of the recordings among the cached frames.
        shared_out: True if shares divided the recordings, False if names given by the user did.
    """
    found = []
    if len(windows.test) < FEW_CLIPS:
        number = counted(len(windows.test), "test clip")
        found.append(f"WARNING: only {number}; differences between methods can hardly be told from chance")
    firsts = np.array([recording.first for recording in recordings])
    kinds = [_kind(recording.name) for recording in recordings]
    of_test, of_train = (
        {kinds[number] for number in np.unique(np.searchsorted(firsts, part[:, 0], side="right") - 1).tolist()}
        for part in (windows.test, windows.train)
    )
    several = 1 < len(set(kinds)) <= len(kinds) / 2
    if shared_out and several and len(of_test) == 1 and of_test != of_train:
        found.append(
            f"WARNING: all test clips are of one kind ({min(of_test)}), training holds "
            f"{', '.join(sorted(of_train)[:4])}; name folders train and test to choose what is tested"
        )
    return found


def _kind(name: str) -> str:
    """Return the kind that a recording's name tells: its folder, or the letters before its first number."""
    folder, _, stem = name.rpartition("/")
    found = re.match(r"[^\d#]*", stem)
    return folder or (found[0].rstrip("_- ") if found else "") or "unnamed"
