"""Files that hold one series in parts (a file for each year or day), put together in time order. Axes: T time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from stbench.data.formats.recording import Blocks, Recording, Seconds
from stbench.data.formats.steps import goes_on, usual_step
from stbench.data.formats.timestamps import date_text
from stbench.errors import UserError

PLACES: tuple[Callable[[str], str], ...] = (  # what names of one place share: the folder, or all but the numbers
    lambda name: name.rpartition("/")[0],
    lambda name: re.sub(r"\d+", "", name),
)
SAME_PLACE = 0.5  # files that share less than this part of the shorter one's time overlap by mistake


class _Dated(NamedTuple):
    recording: Recording
    seconds: Seconds


def join_series(recordings: Sequence[Recording]) -> list[Recording]:
    """Return one recording where dated files follow each other in time; else the recordings as they are.

    Files that hold the same times are of different places. Clips of one file, files without times, and files of
    another frame size, type, calendar or step are left as they are.

    Raises:
        UserError: two files overlap by a part of their times.
    """
    dated = [_Dated(recording, recording.seconds) for recording in recordings if recording.seconds is not None]
    alike = {(recording.frame, recording.dtype, recording.calendar) for recording in recordings}
    if len(recordings) < 2 or len(dated) < len(recordings) or len(alike) > 1:
        return list(recordings)
    ordered = sorted(dated, key=lambda part: float(part.seconds[0]))
    if _overlap(ordered) or not _one_step(ordered):
        return list(recordings)
    first = ordered[0].recording
    parts = tuple(part.recording for part in ordered)
    return [
        replace(
            first,
            name=_common_name([part.name for part in parts]),
            paths=tuple(path for part in parts for path in part.paths),
            length=sum(part.length for part in parts),
            blocks=partial(_blocks, parts),
            seconds=np.concatenate([part.seconds for part in ordered]),
            facts={**first.facts, "files": f"one series in {len(parts)} parts, put together by time"},
            variant="; ".join(dict.fromkeys(part.variant for part in parts)),
        )
    ]


def join_within(recordings: Sequence[Recording], apart: bool) -> list[Recording]:
    """Join the recordings; ``apart`` True does so within each folder at the top, as where those name the splits.

    Recordings of several places, which share times, are joined per folder, or per name without its numbers.
    """
    found = []
    for group in _grouped(recordings, lambda name: re.split("[/#]", name, maxsplit=1)[0] if apart else ""):
        joined = join_series(group)
        if len(joined) == len(group) > 1:
            joined = next((parts for key in PLACES if len(parts := _each(group, key)) < len(group)), joined)
        found += joined
    return found


def _each(recordings: Sequence[Recording], key: Callable[[str], str]) -> list[Recording]:
    return [joined for group in _grouped(recordings, key) for joined in join_series(group)]


def _grouped(recordings: Sequence[Recording], key: Callable[[str], str]) -> list[list[Recording]]:
    groups: dict[str, list[Recording]] = {}
    for recording in recordings:
        groups.setdefault(key(recording.name), []).append(recording)
    return list(groups.values())


def _overlap(ordered: Sequence[_Dated]) -> bool:
    """Whether parts hold the same times, as files of several places do.

    Raises:
        UserError: two parts share a few times only.
    """
    for earlier, later in pairwise(ordered):
        if later.seconds[0] > earlier.seconds[-1]:
            continue
        shared = np.isin(later.seconds, earlier.seconds).sum() / min(len(earlier.seconds), len(later.seconds))
        if shared >= SAME_PLACE:
            return True
        raise UserError(
            f"{later.recording.paths[0]} begins at {date_text(later.seconds[0])}, before {earlier.recording.paths[0]} "
            f"ends ({date_text(earlier.seconds[-1])}). Cut the overlap off one of them, so that no frame is in two "
            "splits; put series of different places into folders that you run separately."
        )
    return False


def _one_step(ordered: Sequence[_Dated]) -> bool:
    """Whether the parts have one step; parts of a single frame have none of their own."""
    steps = [usual_step(np.diff(part.seconds)) for part in ordered if len(part.seconds) > 1]
    return not steps or bool(goes_on(np.array(steps), steps[0]).all())


def _common_name(names: Sequence[str]) -> str:
    """The folder that all names share, or else the first name."""
    shared = names[0].split("/")[:-1]
    while shared and not all(name.startswith("/".join(shared) + "/") for name in names):
        shared.pop()
    return "/".join(shared) or names[0]


def _blocks(parts: tuple[Recording, ...]) -> Blocks:
    for part in parts:
        yield from part.blocks()
