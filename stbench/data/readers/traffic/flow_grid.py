"""Gridded flow (vehicles entering and leaving each cell per slot): the reader of the TaxiBJ family.

Axes: T time, C channels (inflow, outflow), H, W grid. Model space takes the min-max of the training frames to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from stbench.data.benchmarks.folders import find_files, missing_files_error
from stbench.data.dataset import DatasetContext, Reader, ReaderOptions, Splits
from stbench.data.formats import Recording
from stbench.data.formats.clean import Clean, Dropped
from stbench.data.formats.flow import SECONDS_PER_DAY, Calendar, FlowFile, open_flow_h5, open_flow_npz
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import FrameSize
from stbench.data.readers.traffic.window_npz import count_range, open_window_npz
from stbench.data.scaling import learn_scaling
from stbench.data.splits.rules import LastWindows, SplitRule, WindowRule
from stbench.data.splits.windowed_split import windowed_splits
from stbench.data.splits.windows import ApartWindows, Cutter, Span, keep_apart, said_of_leak
from stbench.errors import UserError
from stbench.schema import Scaling


class FlowGridOptions(ReaderOptions):
    """Which files are read, how their slots are labelled, which frames are kept, how windows are split.

    Attributes:
        files: names of the HDF5 or npz files.
        first_days: for npz files, which carry no dates: the day each begins.
        slots_per_day: 48 for half hours, 24 for hours.
        first_slot: label of a day's first slot (1 in TaxiBJ, 0 in TaxiNYC).
        split: which windows are validation and test.
        drop_incomplete_days: leave out every day that lacks a slot.
        block: ``longest`` keeps each file's longest run of consecutive slots only.
        window_npz: written ``prepared``: name of the npz of windows
            (:mod:`stbench.data.readers.traffic.window_npz`) that may stand in for ``files``.
        prefer: which of the two to read if both exist.
        overlap: ``keep`` trains on windows of the npz that share frames with test where validation is not held out, as
            published.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    slots_per_day: PositiveInt
    first_slot: NonNegativeInt
    split: SplitRule
    drop_incomplete_days: bool = True
    block: Literal["all", "longest"] = "all"
    window_npz: str | None = Field(default=None, alias="prepared")
    prefer: Literal["files", "prepared"] = "files"
    overlap: Literal["drop", "keep"] = "drop"
    first_days: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _fit_together(self) -> FlowGridOptions:
        undated = [name for name in self.files if name.endswith(".npz")]
        if undated and len(self.first_days) != len(self.files):
            raise ValueError(f"npz files need one of first_days each: {len(self.files)} files, {len(self.first_days)}")
        if SECONDS_PER_DAY // 60 % self.slots_per_day:
            raise ValueError(
                f"slots_per_day {self.slots_per_day} does not divide the {SECONDS_PER_DAY // 60} minutes of a day"
            )
        if self.window_npz is not None and not isinstance(self.split, WindowRule):
            raise ValueError("'prepared' needs a split of kind last_windows, last_fraction or last_file")
        return self

    @property
    def file_sets(self) -> tuple[tuple[str, ...], ...]:
        """The flow files and the npz of windows, the preferred one first."""
        sets = (self.files, *(((self.window_npz,),) if self.window_npz is not None else ()))
        return sets if self.prefer == "files" else sets[::-1]

    @property
    def clean(self) -> Clean:
        """What is left out of each file."""
        return Clean(self.slots_per_day, self.drop_incomplete_days, self.block == "longest")


class FlowGrid(Reader):
    """Clips of consecutive slots: none crosses a gap or two files, and no two splits share a frame."""

    Options: ClassVar[type[ReaderOptions]] = FlowGridOptions

    @classmethod
    def open(cls, options: FlowGridOptions, context: DatasetContext) -> Splits:
        """Read the flow files, or the npz of windows if it is preferred or alone there."""
        paths = _find(options, context)
        if tuple(path.name for path in paths) == (options.window_npz,):
            return _open_windows(paths[0], options, context)
        return _open_files(paths, options, context)


def _find(options: FlowGridOptions, context: DatasetContext) -> list[Path]:
    """Return the paths of the first set of files that is there."""
    for names in options.file_sets:
        paths = find_files(context.name, context.data_dirs, names, options.folders)
        if paths is not None:
            return paths
    raise missing_files_error(context.name, context.data_dirs, options)


def _open_files(paths: Sequence[Path], options: FlowGridOptions, context: DatasetContext) -> Splits:
    files = _in_time_order([_open_flow(path, number, options, context) for number, path in enumerate(paths)])
    cache = _decode([file.recording for file in files], context)
    calendar = Calendar(options.slots_per_day, options.first_slot)
    cutter = Cutter(cache.index.recordings, cache.seconds, context.shape.length, step=calendar.step)
    divided = options.split.divide(cutter, context.name)
    apart = keep_apart(divided, context.hold_out, context.name, join_val=options.split.val_joins_training)
    training = np.unique(apart.windows.train)
    scaling = learn_scaling(cache.statistics[training], "minmax", context.name, per_channel=False)
    dropped = sum((file.dropped for file in files), Dropped())
    spans = [Span.of(recording) for recording in cache.index.recordings]
    possible = sum(max(0, span.stop - span.start - context.shape.length + 1) for span in spans)
    return Splits(
        **windowed_splits(cache, apart.windows, scaling),
        report=(
            f"read {sum(file.rows_read for file in files)} frames from {len(files)} files; dropped "
            f"{dropped.duplicated} duplicated slots, {dropped.incomplete_days} slots of incomplete days, "
            f"{dropped.outside_block} outside the longest block, {possible - len(cutter.windows(spans))} windows "
            f"across gaps, {_clips_of(apart, context)}"
        ),
        fingerprint=cache.index.source,
        scaling=scaling,
        frame_cache=cache.path,
    )


def _open_windows(path: Path, options: FlowGridOptions, context: DatasetContext) -> Splits:
    recording, train, test = open_window_npz(path, context.shape)
    cache = _decode([recording], context)
    share = options.split.val_fraction if isinstance(options.split, WindowRule) else 0.1
    rule = LastWindows(test=len(test), val_fraction=share)
    divided = rule.take([np.concatenate([train, test])], context.name)
    apart = keep_apart(divided, context.hold_out, context.name, as_published=options.overlap == "keep")
    counts = count_range(cache.frames)
    low, high = counts or (0.0, 1.0)  # a file that does not give its counts away stays in model space
    return Splits(
        **windowed_splits(cache, apart.windows, Scaling()),
        report=(
            f"read {len(train)} training and {len(test)} test windows over {cache.count} frames from {path.name}; "
            f"dropped {_clips_of(apart, context)}" + ("" if counts else "; its counts are not known")
        ),
        fingerprint=cache.index.source,
        scaling=Scaling(offset=(low,), scale=(high - low,)),
        frame_cache=cache.path,
    )


def _open_flow(path: Path, number: int, options: FlowGridOptions, context: DatasetContext) -> FlowFile:
    calendar = Calendar(options.slots_per_day, options.first_slot)
    if path.suffix == ".npz":
        return open_flow_npz(path, context.shape.frame, calendar, options.clean, options.first_days[number])
    return open_flow_h5(path, context.shape.frame, calendar, options.clean)


def _in_time_order(files: Sequence[FlowFile]) -> list[FlowFile]:
    """Sort files by time; refuse two that hold the same slot."""

    def edges(file: FlowFile) -> tuple[int, int]:
        seconds = file.recording.seconds
        assert seconds is not None  # a flow file is always dated
        return int(seconds[0]), int(seconds[-1])

    ordered = sorted(files, key=edges)
    for earlier, later in pairwise(ordered):
        if edges(earlier)[1] >= edges(later)[0]:
            one, other = earlier.recording.paths[0], later.recording.paths[0]
            raise UserError(f"{one} and {other} overlap in time; a slot must be in one file only.")
    return ordered


def _decode(recordings: Sequence[Recording], context: DatasetContext) -> FrameCache:
    channels, height, width = context.shape.frame
    size = FrameSize(height=height, width=width, channels=channels, fit="crop")
    return decode_once(context.name, recordings, size, on_decoded=context.on_decoded)


def _clips_of(apart: ApartWindows, context: DatasetContext) -> str:
    train, val, test = (len(windows) for windows in apart.windows)
    validation = f"{val} validation" if context.hold_out else "validation = test"
    return (
        f"{apart.straddling} windows that share frames with a later split; "
        f"clips: {train} train, {validation}, {test} test{said_of_leak(apart)}"
    )
