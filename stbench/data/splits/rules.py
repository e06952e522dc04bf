"""Windows over recordings, and which split each belongs to.

A span is a half-open range of stored frames; windows are cut inside spans, so that none crosses a border.
Axes: N windows, T frames of a window, F stored frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from stbench.data.frame_cache.cache import NO_TIME, Stored
from stbench.errors import UserError
from stbench.schema import Record

if TYPE_CHECKING:  # windows need torch, which what only describes data must not wait for
    from stbench.data.splits.windows import Windows

Minutes = npt.NDArray[np.int64]
Share = Annotated[float, Field(gt=0, lt=1)]

MANY_CLIPS = 10
SPLITS = ("train", "val", "test")


class Span(NamedTuple):
    """Stored frames start … stop−1, all of one recording."""

    start: int
    stop: int


class ByFraction(Record):
    """Shares of train, validation and test, in order.

    ``clip`` shares out whole recordings in the order of their names, ``time`` the frames of each recording, and
    ``auto`` takes recordings where there are at least ten of them.
    """

    kind: Literal["fraction"] = "fraction"
    shares: tuple[Share, Share, Share] = (0.7, 0.1, 0.2)
    by: Literal["auto", "clip", "time"] = "auto"


class ByName(Record):
    """A recording goes where its name matches a pattern (searched for); one that matches none is left out.

    ``val`` may be a share of training instead, cut from its end: whole recordings where training has at least ten, else
    frames of each.
    """

    kind: Literal["name"] = "name"
    train: str
    val: str | Share
    test: str


class ByYear(Record):
    """Frames go by the year they were taken in, first and last year included."""

    kind: Literal["year"] = "year"
    train: tuple[int, int]
    val: tuple[int, int]
    test: tuple[int, int]


SpanRule = Annotated[ByFraction | ByName | ByYear, Field(discriminator="kind")]
Spans = dict[str, list[Span]]


def split_spans(rule: SpanRule, recordings: Sequence[Stored], minutes_F: Minutes, where: str) -> Spans:
    """The spans of each split; no frame is in two of them.

    Raises:
        UserError: the rule leaves a split empty, needs times that are not known, or puts a recording in two splits.
    """
    if isinstance(rule, ByFraction):
        spans = _by_fraction(rule, recordings, where)
    elif isinstance(rule, ByName):
        spans = _by_name(rule, recordings, where)
    else:
        spans = _by_year(rule, recordings, minutes_F, where)
    return spans


def without_gaps(spans: Sequence[Span], minutes_F: Minutes) -> list[Span]:
    """Cut spans where time does not go on by the usual (most common) step; spans without times stay whole."""
    found: list[Span] = []
    for span in spans:
        minutes = minutes_F[span.start : span.stop]
        if len(minutes) < 3 or (minutes == NO_TIME).any():
            found.append(span)
            continue
        steps = np.diff(minutes)
        values, counts = np.unique(steps, return_counts=True)
        edges = np.flatnonzero(steps != values[counts.argmax()]) + 1 + span.start
        bounds = [span.start, *edges.tolist(), span.stop]
        found += [Span(a, b) for a, b in pairwise(bounds)]
    return found


def windows_of(span: Span, length: int, stride: int) -> Windows:
    """Windows (N, T) inside a span, ``stride`` apart and counted back from its end, in time order."""
    starts = np.arange(span.stop - length, span.start - 1, -stride, dtype=np.int64)[::-1]
    return starts[:, None] + np.arange(length)


def check_filled(windows: Mapping[str, Windows], spans: Spans, length: int, where: str) -> None:
    """Refuse splits without a single window of ``length`` frames.

    Raises:
        UserError: a split has none.
    """
    for split in SPLITS:
        if not len(windows[split]):
            longest = max((stop - start for start, stop in spans[split]), default=0)
            raise UserError(
                f"{where}: the {split} split has no clip of {length} frames: its longest run of frames is {longest}. "
                "Ask for shorter clips (--t-in, --t-out) or other shares (--split), give longer recordings, or check "
                "that none is missing ('stbench data check')."
            )


def _by_fraction(rule: ByFraction, recordings: Sequence[Stored], where: str) -> Spans:
    train, val, test = rule.shares
    if abs(train + val + test - 1) > 1e-6:
        raise UserError(f"{where}: the split {train:g},{val:g},{test:g} adds up to {train + val + test:g}, not to 1.")
    spans: Spans = {split: [] for split in SPLITS}
    whole = rule.by == "clip" or (rule.by == "auto" and len(recordings) >= MANY_CLIPS)
    if whole:
        for split, part in _cut(len(recordings), rule.shares).items():
            spans[split] = [_span(recordings[number]) for number in range(*part)]
        return spans
    for recording in recordings:
        for split, (start, stop) in _cut(recording.length, rule.shares).items():
            spans[split].append(Span(recording.first + start, recording.first + stop))
    return spans


def _cut(count: int, shares: tuple[float, float, float]) -> dict[str, tuple[int, int]]:
    """Test and validation get their rounded share, at least one; training the rest."""
    test = max(1, round(count * shares[2]))
    val = max(1, round(count * shares[1]))
    head = max(0, count - test - val)
    return {"train": (0, head), "val": (head, max(head, count - test)), "test": (max(0, count - test), count)}


def _by_name(rule: ByName, recordings: Sequence[Stored], where: str) -> Spans:
    spans: Spans = {split: [] for split in SPLITS}
    patterns = {split: pattern for split in SPLITS if isinstance(pattern := getattr(rule, split), str)}
    for recording in recordings:
        matching = [split for split, pattern in patterns.items() if re.search(pattern, recording.name)]
        if len(matching) > 1:
            raise UserError(f"{where}: the recording {recording.name!r} belongs to {' and '.join(matching)}.")
        for split in matching:
            spans[split].append(_span(recording))
    if isinstance(rule.val, float):
        spans["train"], spans["val"] = _tail_off(spans["train"], rule.val)
    return spans


def _tail_off(spans: list[Span], share: float) -> tuple[list[Span], list[Span]]:
    """Spans less a share of them, and that share: the last spans where there are many, else the end of each."""
    if len(spans) >= MANY_CLIPS:
        kept = len(spans) - max(1, round(len(spans) * share))
        return spans[:kept], spans[kept:]
    cuts = [span.stop - max(1, round((span.stop - span.start) * share)) for span in spans]
    pairs = list(zip(spans, cuts, strict=True))
    return [Span(span.start, cut) for span, cut in pairs], [Span(cut, span.stop) for span, cut in pairs]


def _by_year(rule: ByYear, recordings: Sequence[Stored], minutes_F: Minutes, where: str) -> Spans:
    spans: Spans = {split: [] for split in SPLITS}
    _check_times(rule, recordings, minutes_F, where)
    years = (minutes_F.astype("M8[m]").astype("M8[Y]").astype(np.int64)) + 1970
    for recording in recordings:
        span = _span(recording)
        for split in SPLITS:
            first, last = getattr(rule, split)
            inside = np.flatnonzero((years[span.start : span.stop] >= first) & (years[span.start : span.stop] <= last))
            for run in np.split(inside, np.flatnonzero(np.diff(inside) != 1) + 1):
                if len(run):
                    spans[split].append(Span(span.start + int(run[0]), span.start + int(run[-1]) + 1))
    return spans


def _check_times(rule: ByYear, recordings: Sequence[Stored], minutes_F: Minutes, where: str) -> None:
    """Every frame must be dated, no two recordings may hold the same time, and no year may be missing."""
    for recording in recordings:
        span = _span(recording)
        if (minutes_F[span.start : span.stop] == NO_TIME).any():
            raise UserError(f"{where}: {recording.name!r} does not say when its frames were taken.")
    ordered = sorted(recordings, key=lambda recording: int(minutes_F[recording.first]))
    for earlier, later in pairwise(ordered):
        if minutes_F[earlier.first + earlier.length - 1] >= minutes_F[later.first]:
            raise UserError(
                f"{where}: {earlier.name!r} and {later.name!r} hold the same times; one of them is misnamed or of the "
                "wrong year. Fetch it again."
            )
    held = set((minutes_F.astype("M8[m]").astype("M8[Y]").astype(np.int64) + 1970).tolist())
    wanted = {year for split in SPLITS for year in range(getattr(rule, split)[0], getattr(rule, split)[1] + 1)}
    missing = sorted(wanted - held)
    if missing:
        listing = ", ".join(str(year) for year in missing)
        raise UserError(f"{where}: no file holds the year {listing}. Fetch what is missing.")


def _span(recording: Stored) -> Span:
    return Span(recording.first, recording.first + recording.length)


class NameRule(Record):
    """Settings of the recordings whose name matches: every ``step``-th frame is kept, windows are ``stride`` apart."""

    match: str
    step: PositiveInt = 1
    stride: PositiveInt | None = None


def rule_for(name: str, rules: Sequence[NameRule]) -> NameRule | None:
    """The first rule that matches a recording's name."""
    return next((rule for rule in rules if re.search(rule.match, name)), None)
