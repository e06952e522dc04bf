"""Windows over the frame cache, and the one rule that keeps splits from sharing frames.

A span is a half-open range of cached frames; a window is a row of frame numbers inside one span. Nothing here imports
torch. Axes: N windows, T frames of a window, F cached frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt, PositiveInt

from stbench.data.formats.recording import Seconds
from stbench.data.formats.steps import goes_on, usual_step
from stbench.errors import UserError
from stbench.schema import Record

Windows = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")


class Placed(Protocol):
    """A recording with its place among the cached frames."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def first(self) -> int:
        """Number of its first frame."""

    @property
    def length(self) -> int:
        """Number of its frames."""


class Span(NamedTuple):
    """Cached frames start … stop−1, all of one recording."""

    start: int
    stop: int

    @classmethod
    def of(cls, recording: Placed) -> Span:
        """Return the span of a whole recording."""
        return cls(recording.first, recording.first + recording.length)


class SplitWindows(NamedTuple):
    """Windows (N, T) of the three splits, each in the order of the recordings and of time."""

    train: Windows
    val: Windows
    test: Windows


class NameRule(Record):
    """Settings of the recordings whose name matches: every ``step``-th frame is kept, windows are ``stride`` apart.

    ``first`` is the first frame kept; by default the ``step``-th frame.
    """

    match: str
    step: PositiveInt = 1
    first: NonNegativeInt | None = None
    stride: PositiveInt | None = None


def rule_for(name: str, rules: Sequence[NameRule]) -> NameRule | None:
    """Return the first rule that matches a recording's name."""
    return next((rule for rule in rules if re.search(rule.match, name)), None)


@dataclass(frozen=True)
class Cutter:
    """Cuts windows inside spans, so that none crosses a gap in time or two recordings.

    Attributes:
        recordings: places of the recordings in the frame cache, in its order.
        seconds: when each frame was taken, seconds since 1970; NaN if unknown, (F,).
        length: frames of a window.
        stride: frames between the starts of two windows, counted back from a span's end.
        rules: exceptions by a recording's name.
        in_use: spans of the frames in use, by the first frame of their recording; None uses all.
        step: seconds between two neighbouring frames; None takes the usual step of each span.
    """

    recordings: Sequence[Placed]
    seconds: Seconds
    length: int
    stride: int = 1
    rules: tuple[NameRule, ...] = ()
    in_use: Mapping[int, Sequence[Span]] | None = None
    step: float | None = None

    def windows(self, spans: Sequence[Span]) -> Windows:
        """Cut the windows (N, T) inside these spans."""
        found = [np.empty((0, self.length), dtype=np.int64)]
        for span in without_gaps(self.usable(spans), self.seconds, self.step):
            rule = rule_for(self._recording_at(span.start).name, self.rules)
            stride = rule.stride if rule is not None and rule.stride is not None else self.stride
            found.append(windows_of(span, self.length, stride))
        return np.concatenate(found)

    def usable(self, spans: Sequence[Span]) -> list[Span]:
        """Cut spans down to the frames in use."""
        if self.in_use is None:
            return list(spans)
        cuts: list[Span] = []
        for span in spans:
            used = self.in_use.get(self._recording_at(span.start).first, ())
            cuts += [Span(max(span.start, other.start), min(span.stop, other.stop)) for other in used]
        return [cut for cut in cuts if cut.stop > cut.start]

    def check_filled(self, windows: SplitWindows, spans: Mapping[str, Sequence[Span]], where: str) -> None:
        """Reject splits without windows.

        Raises:
            UserError: a split has none; the message names its longest span.
        """
        for split in SPLITS:
            if not len(getattr(windows, split)):
                longest = max((stop - start for start, stop in self.usable(spans[split])), default=0)
                raise UserError(
                    f"{where}: the {split} split has no clip of {self.length} frames: its longest run of frames is "
                    f"{longest}. Ask for shorter clips (--t-in, --t-out) or other shares (--split), give longer "
                    "recordings, or check that none is missing ('stbench data check')."
                )

    @cached_property
    def _firsts(self) -> npt.NDArray[np.int64]:
        return np.array([recording.first for recording in self.recordings], dtype=np.int64)

    def _recording_at(self, frame: int) -> Placed:
        return self.recordings[int(np.searchsorted(self._firsts, frame, side="right")) - 1]


def without_gaps(spans: Sequence[Span], seconds_F: Seconds, step: float | None = None) -> list[Span]:
    """Cut spans where time does not go on by ``step`` seconds; spans with unknown times stay whole.

    ``step`` None takes each span's usual step, which takes three frames to tell (:func:`goes_on`).
    """
    found: list[Span] = []
    for span in spans:
        seconds = seconds_F[span.start : span.stop]
        if np.isnan(seconds).any() or (step is None and len(seconds) < 3):
            found.append(span)
            continue
        steps = np.diff(seconds)
        edges = np.flatnonzero(~goes_on(steps, usual_step(steps) if step is None else step)) + 1 + span.start
        bounds = [span.start, *edges.tolist(), span.stop]
        found += [Span(a, b) for a, b in pairwise(bounds)]
    return found


def windows_of(span: Span, length: int, stride: int) -> Windows:
    """Return windows (N, T) inside a span, ``stride`` apart and counted back from its end, in time order.

    >>> windows_of(Span(0, 6), 3, 2)[:, 0].tolist()
    [1, 3]
    """
    starts = np.arange(span.stop - length, span.start - 1, -stride, dtype=np.int64)[::-1]
    return starts[:, None] + np.arange(length)


@dataclass(frozen=True)
class ApartWindows:
    """Windows of splits, and how many were dropped because they share a frame with a later split.

    ``leaking`` counts test windows that share a frame with training, which only a published split may have.
    """

    windows: SplitWindows
    straddling: int
    leaking: int = 0


def said_of_leak(apart: ApartWindows) -> str:
    """Return what a data report adds if a published split leaks; else an empty text."""
    if not apart.leaking:
        return ""
    count = len(apart.windows.test)
    share = 100 * apart.leaking / count
    return f"; LEAK as published: {apart.leaking} of {count} test clips ({share:.1f} %) share frames with training"


def keep_apart(
    windows: SplitWindows, hold_out: bool, where: str, join_val: bool = True, as_published: bool = False
) -> ApartWindows:
    """Leave out the windows that share a frame with a later split (train < validation < test).

    Args:
        windows: of each split, as a rule divides them.
        hold_out: False uses test as validation, and trains on the validation windows as well.
        where: the benchmark's name, for messages.
        join_val: False keeps the validation windows out of training even then.
        as_published: True drops nothing if nothing is held out, and counts the windows that leak.

    Raises:
        UserError: a split has no windows left.
    """
    train, val, test = windows
    leaking = 0
    if hold_out:
        before = len(train) + len(val)
        val = _without(val, test)
        train = _without(train, val, test)
        straddling = before - len(train) - len(val)
    else:
        everything = np.concatenate([train, val]) if join_val else train
        kept = _without(everything, test)
        train, val = everything if as_published else kept, test
        straddling = len(everything) - len(train)
        if as_published and len(kept) < len(everything):
            leaking = len(test) - len(_without(test, everything))
    if not (len(train) and len(val) and len(test)):
        raise UserError(
            f"{where}: a split has no windows (train {len(train)}, validation {len(val)}, test {len(test)}) after "
            "leaving out those that share frames with a later split. Give a longer series, or check its time order."
        )
    return ApartWindows(SplitWindows(train, val, test), straddling, leaking)


def _without(windows_NT: Windows, *held: Windows) -> Windows:
    """Return the windows that share no frame with any of ``held``."""
    largest = max(int(windows.max(initial=0)) for windows in (windows_NT, *held))
    taken_F = np.zeros(largest + 1, dtype=bool)
    for windows in held:
        taken_F[windows] = True
    return windows_NT[~taken_F[windows_NT].any(axis=1)]
