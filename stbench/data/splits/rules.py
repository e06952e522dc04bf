"""Split rules: which recordings, frames or windows are training, validation and test.

A rule is a record with a ``kind``; its method ``divide`` does the work. Rules by fraction, name and year divide frames
and then cut windows inside each split's spans. Rules of last windows and files divide windows that are already cut.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from stbench.data.formats.recording import Seconds
from stbench.data.splits.windows import SPLITS, Cutter, Placed, Span, SplitWindows, Windows
from stbench.errors import UserError
from stbench.schema import Record

Share = Annotated[float, Field(gt=0, lt=1)]
Spans = dict[str, list[Span]]

MANY_CLIPS = 10


class Named(Protocol):
    """A recording whose name and length are known before decoding."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def length(self) -> int:
        """Number of frames."""


class SpanRule(Record):
    """A rule that divides frames."""

    val_joins_training: ClassVar[bool] = True
    """Whether validation frames are trained on if nothing is held out."""

    @abstractmethod
    def spans(self, recordings: Sequence[Placed], seconds_F: Seconds, where: str) -> Spans:
        """Return the spans of each split; no frame is in two of them.

        Raises:
            UserError: the rule does not fit the recordings.
        """

    def divide(self, cutter: Cutter, where: str) -> SplitWindows:
        """Divide the frames, then cut the windows of each split.

        Raises:
            UserError: the rule does not fit the recordings, or leaves a split without a window.
        """
        spans = self.spans(cutter.recordings, cutter.seconds, where)
        windows = SplitWindows(*(cutter.windows(spans[split]) for split in SPLITS))
        cutter.check_filled(windows, spans, where)
        return windows


class ByFraction(SpanRule):
    """Shares of training, validation and test, in order.

    ``clip`` divides whole recordings in the order of their names. ``time`` divides the frames of each recording.
    ``auto`` divides recordings if there are at least ten, else frames.
    """

    kind: Literal["fraction"] = "fraction"
    shares: tuple[Share, Share, Share] = (0.7, 0.1, 0.2)
    by: Literal["auto", "clip", "time"] = "auto"

    def spans(self, recordings: Sequence[Placed], seconds_F: Seconds, where: str) -> Spans:  # noqa: ARG002
        """Divide the recordings, or the frames of each."""
        total = sum(self.shares)
        if abs(total - 1) > 1e-6:
            raise UserError(
                f"{where}: the split {','.join(f'{s:g}' for s in self.shares)} adds up to {total:g}, not 1."
            )
        spans: Spans = {split: [] for split in SPLITS}
        if self._by_clip(recordings):
            for split, part in self._cut(len(recordings)).items():
                spans[split] = [Span.of(recordings[number]) for number in range(*part)]
            return spans
        for recording in recordings:
            for split, (start, stop) in self._cut(recording.length).items():
                spans[split].append(Span(recording.first + start, recording.first + stop))
        return spans

    def room(self, recordings: Sequence[Named]) -> tuple[bool, int]:
        """Tell whether the smallest split is the end of recordings, and the most frames that surely fit a clip."""
        if self._by_clip(recordings):
            return False, min(recording.length for recording in recordings)
        return True, round(max(recording.length for recording in recordings) * min(self.shares))

    def _by_clip(self, recordings: Sequence[Named]) -> bool:
        return self.by == "clip" or (self.by == "auto" and len(recordings) >= MANY_CLIPS)

    def _cut(self, count: int) -> dict[str, tuple[int, int]]:
        """Give test and validation their rounded shares, at least 1 each, and training the rest."""
        test, val = (max(1, round(count * self.shares[part])) for part in (2, 1))
        head = max(0, count - test - val)
        return {"train": (0, head), "val": (head, max(head, count - test)), "test": (max(0, count - test), count)}


class ByName(SpanRule):
    """Assign a recording to the split whose pattern is found in its name; leave it out if none is.

    ``val`` may be a share of training instead, cut from its end: whole recordings if training has at least ten, else
    frames of each.
    """

    kind: Literal["name"] = "name"
    train: str
    val: str | Share
    test: str

    def spans(self, recordings: Sequence[Placed], seconds_F: Seconds, where: str) -> Spans:  # noqa: ARG002
        """Assign each recording by its name."""
        spans: Spans = {split: [] for split in SPLITS}
        patterns = {split: pattern for split in SPLITS if isinstance(pattern := getattr(self, split), str)}
        for recording in recordings:
            matching = [split for split, pattern in patterns.items() if re.search(pattern, recording.name)]
            if len(matching) > 1:
                raise UserError(f"{where}: the recording {recording.name!r} belongs to {' and '.join(matching)}.")
            for split in matching:
                spans[split].append(Span.of(recording))
        if isinstance(self.val, float):
            spans["train"], spans["val"] = _tail_off(spans["train"], self.val)
        return spans

    def room(self, recordings: Sequence[Named]) -> tuple[bool, int]:
        """Tell whether validation is the end of recordings, and the most frames that surely fit a clip."""
        whole = min(recording.length for recording in recordings)
        training = [recording.length for recording in recordings if re.search(self.train, recording.name)]
        if isinstance(self.val, str) or len(training) >= MANY_CLIPS:
            return False, whole
        return True, min(round(max(training) * self.val), whole)


class ByYear(SpanRule):
    """Assign frames by the year in which they were taken; first and last year are included.

    ``across_files`` lets windows cross from one file to the next, as published. The last ``unused_end`` frames of a
    split are then in no window.
    """

    val_joins_training: ClassVar[bool] = False  # the published habit leaves the validation years unused
    kind: Literal["year"] = "year"
    train: tuple[int, int]
    val: tuple[int, int]
    test: tuple[int, int]
    across_files: bool = False
    unused_end: NonNegativeInt = 0

    def spans(self, recordings: Sequence[Placed], seconds_F: Seconds, where: str) -> Spans:
        """Cut each recording by the year of its frames."""
        self._check_times(recordings, seconds_F, where)
        spans: Spans = {split: [] for split in SPLITS}
        years = _years(seconds_F)
        for recording in recordings:
            span = Span.of(recording)
            for split in SPLITS:
                first, last = getattr(self, split)
                own = years[span.start : span.stop]
                inside = np.flatnonzero((own >= first) & (own <= last))
                for run in np.split(inside, np.flatnonzero(np.diff(inside) != 1) + 1):
                    if len(run):
                        spans[split].append(Span(span.start + int(run[0]), span.start + int(run[-1]) + 1))
        return {split: self._joined(found) for split, found in spans.items()}

    def _joined(self, spans: list[Span]) -> list[Span]:
        """Join adjacent spans and cut off their unused end; change nothing if no window may cross files."""
        if not self.across_files:
            return spans
        joined: list[Span] = []
        for span in sorted(spans):
            if joined and joined[-1].stop == span.start:
                joined[-1] = Span(joined[-1].start, span.stop)
            else:
                joined.append(span)
        return [Span(span.start, span.stop - self.unused_end) for span in joined]

    def _check_times(self, recordings: Sequence[Placed], seconds_F: Seconds, where: str) -> None:
        """Reject frames without dates, two recordings with the same times, and missing years."""
        for recording in recordings:
            span = Span.of(recording)
            if np.isnan(seconds_F[span.start : span.stop]).any():
                raise UserError(f"{where}: {recording.name!r} does not say when its frames were taken.")
        for earlier, later in pairwise(sorted(recordings, key=lambda recording: float(seconds_F[recording.first]))):
            if seconds_F[earlier.first + earlier.length - 1] >= seconds_F[later.first]:
                raise UserError(
                    f"{where}: {earlier.name!r} and {later.name!r} hold the same times; one of them is misnamed or of "
                    "the wrong year. Fetch it again."
                )
        held = set(_years(seconds_F).tolist())
        wanted = {year for split in SPLITS for year in range(getattr(self, split)[0], getattr(self, split)[1] + 1)}
        missing = ", ".join(str(year) for year in sorted(wanted - held))
        if missing:
            raise UserError(f"{where}: no file holds the year {missing}. Fetch what is missing.")


class WindowRule(Record):
    """A rule that divides windows in time order; validation is the last ``val_fraction`` of the windows before test."""

    val_joins_training: ClassVar[bool] = True
    val_fraction: Share = 0.1

    @abstractmethod
    def take(self, groups: Sequence[Windows], where: str) -> SplitWindows:
        """Divide the windows of the recordings, one group each, in time order.

        Raises:
            UserError: there are too few windows or recordings.
        """

    def divide(self, cutter: Cutter, where: str) -> SplitWindows:
        """Cut the windows of each recording, then divide them.

        Raises:
            UserError: there are too few windows or recordings.
        """
        return self.take([cutter.windows([Span.of(recording)]) for recording in cutter.recordings], where)


class LastWindows(WindowRule):
    """Test is the last ``test`` windows of all."""

    kind: Literal["last_windows"] = "last_windows"
    test: PositiveInt

    def take(self, groups: Sequence[Windows], where: str) -> SplitWindows:
        """Divide all windows together."""
        every = np.concatenate(groups)
        return _cut(every, max(1, round((len(every) - self.test) * self.val_fraction)), self.test, where)


class LastFraction(WindowRule):
    """Test is the last ``test_fraction`` of each recording's windows; ``val_fraction`` is a share of all, too."""

    kind: Literal["last_fraction"] = "last_fraction"
    test_fraction: Share

    def take(self, groups: Sequence[Windows], where: str) -> SplitWindows:
        """Divide the windows of each recording separately."""
        sizes = [
            [max(1, round(len(group) * share)) for share in (self.val_fraction, self.test_fraction)] for group in groups
        ]
        parts = [_cut(group, val, test, where) for group, (val, test) in zip(groups, sizes, strict=True)]
        return SplitWindows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


class LastFile(WindowRule):
    """Test is every window of the last recording."""

    kind: Literal["last_file"] = "last_file"

    def take(self, groups: Sequence[Windows], where: str) -> SplitWindows:
        """Cut validation from the windows before the last recording's."""
        if len(groups) < 2:
            raise UserError(f"{where}: the last file is the test split, so at least two files are needed.")
        before = np.concatenate(groups[:-1])
        train, val, _ = _cut(before, max(1, round(len(before) * self.val_fraction)), 0, where)
        return SplitWindows(train, val, groups[-1])


DividesFrames = Annotated[ByFraction | ByName | ByYear, Field(discriminator="kind")]
SplitRule = Annotated[ByFraction | ByName | ByYear | LastWindows | LastFraction | LastFile, Field(discriminator="kind")]


def _cut(windows: Windows, val: int, test: int, where: str) -> SplitWindows:
    """Cut off the last ``test`` windows, and the ``val`` windows before them."""
    if len(windows) <= val + test:
        raise UserError(
            f"{where}: {len(windows)} windows are too few for {val} validation and {test} test windows and some "
            "for training. Give a longer series or a smaller split in the dataset options."
        )
    head = len(windows) - test - val
    return SplitWindows(windows[:head], windows[head : head + val], windows[head + val :])


def _tail_off(spans: list[Span], share: float) -> tuple[list[Span], list[Span]]:
    """Cut off a share: the last spans if there are many, else the end of each span."""
    if len(spans) >= MANY_CLIPS:
        kept = len(spans) - max(1, round(len(spans) * share))
        return spans[:kept], spans[kept:]
    cuts = [span.stop - max(1, round((span.stop - span.start) * share)) for span in spans]
    pairs = list(zip(spans, cuts, strict=True))
    return [Span(span.start, cut) for span, cut in pairs], [Span(cut, span.stop) for span, cut in pairs]


def _years(seconds_F: Seconds) -> npt.NDArray[np.int64]:
    return np.floor(seconds_F).astype(np.int64).astype("M8[s]").astype("M8[Y]").astype(np.int64) + 1970
