"""The reader of everything that comes as recordings: videos, picture folders, arrays, HDF5 and NetCDF files.

Frames are decoded once into the prepared store; clips are windows over it. Axes: T time, C channels, H, W, N windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from stbench.data.augment import Augment
from stbench.data.benchmarks.folders import Source, candidate_folders, missing_files_error
from stbench.data.dataset import Dataset, DatasetContext
from stbench.data.formats import SUFFIXES, Recording, open_recordings
from stbench.data.formats.arrays import Layout
from stbench.data.formats.channels import join_channels
from stbench.data.frame_cache.cache import Prepared
from stbench.data.frame_cache.decode import prepare
from stbench.data.frame_cache.resize import Fit, FrameSize, adapted
from stbench.data.readers.frame_list import read_ranges, spans_in_ranges
from stbench.data.scaling import Scale, scaling
from stbench.data.splits.rules import (
    SPLITS,
    ByName,
    ByYear,
    NameRule,
    Span,
    SpanRule,
    check_filled,
    rule_for,
    split_spans,
    windows_of,
    without_gaps,
)
from stbench.data.splits.windowed_split import StoredSplit
from stbench.data.splits.windows import Windows
from stbench.schema import Record


class RecordedOptions(Record):
    """Which files are read, what frames are brought to, and how windows are cut and split.

    Attributes:
        files: patterns of file names below the benchmark's folder (``**/`` for any depth); all are needed.
        path: a folder or file of the user's own, read instead of the benchmark's folder.
        folders: further names of the folder that may hold the files.
        variables: the array or NetCDF variable to read; several become channels.
        layout: axes of an array; ``auto`` takes one of at most four as channels.
        fit: how frames are brought to the benchmark's size.
        split: which recordings or frames are train, validation and test.
        scale: how values are taken to model space, learned from the training frames.
        stride: frames between the starts of two windows.
        rules: exceptions by a recording's name; the first that matches counts.
        ranges: name of a text file that lists the frames in use.
        augment: what is done to training clips anew each epoch (:class:`stbench.data.augment.Augment`).
        source: where to get the files.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    path: Path | None = None
    folders: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    layout: Layout = "auto"
    fit: Fit = "cover"
    split: SpanRule
    scale: Scale = "unit"
    stride: PositiveInt = 1
    rules: tuple[NameRule, ...] = ()
    ranges: str | None = None
    augment: Augment = Augment()
    source: Source | None = None


class Recorded(Dataset):
    """Clips of consecutive frames of one recording; none crosses a gap in time or two splits."""

    Options: ClassVar[type[Record]] = RecordedOptions
    options: RecordedOptions

    def __init__(self, options: RecordedOptions, context: DatasetContext) -> None:
        super().__init__(options, context)
        options.augment.check(context.shape, context.name)
        self.folder = find_folder(options, context)
        self.prepared = self._prepared()
        self.fingerprint = self.prepared.index.source
        windows = self._joined(self._windows())
        training = np.unique(windows["train"])
        self.scaling = scaling(self.prepared.statistics[training], options.scale, context.name)
        self.train = StoredSplit(self.prepared, windows["train"], self.scaling, options.augment)
        self.val = StoredSplit(self.prepared, windows["val"], self.scaling)
        self.test = StoredSplit(self.prepared, windows["test"], self.scaling)
        self.report = self._report(len(np.unique(np.concatenate([part.ravel() for part in windows.values()]))))

    def _prepared(self) -> Prepared:
        channels, height, width = self.context.shape.frame
        size = FrameSize(height=height, width=width, channels=channels, fit=self.options.fit)
        recordings = self._recordings()
        self.adapted = adapted([recording.frame for recording in recordings], size)
        return prepare(self.context.name, recordings, size, keep=self._kept, progress=self.context.progress)

    def _recordings(self) -> list[Recording]:
        return open_matching(self.options, self.folder)

    def _kept(self, recording: Recording) -> slice:
        rule = rule_for(recording.name, self.options.rules)
        step = rule.step if rule is not None else 1
        return slice(step - 1, recording.length, step)

    def _windows(self) -> dict[str, Windows]:
        """Windows of each split before anything is joined."""
        index, where = self.prepared.index, self.context.name
        spans = split_spans(self.options.split, index.recordings, self.prepared.minutes, where)
        if self.options.ranges is not None:
            table = read_ranges(self.folder, self.options.ranges)
            spans = {split: spans_in_ranges(spans[split], index.recordings, table) for split in SPLITS}
        windows = {split: self._cut(spans[split]) for split in SPLITS}
        check_filled(windows, spans, self.context.shape.length, where)
        return windows

    def _joined(self, windows: dict[str, Windows]) -> dict[str, Windows]:
        """Without hold-out, validation joins training (unless the rule sets it apart) and test stands in for it."""
        if self.context.hold_out:
            return windows
        apart = isinstance(self.options.split, ByYear)
        train = windows["train"] if apart else np.concatenate([windows["train"], windows["val"]])
        return {"train": train, "val": windows["test"], "test": windows["test"]}

    def _cut(self, spans: Sequence[Span]) -> Windows:
        found = [np.empty((0, self.context.shape.length), dtype=np.int64)]
        recordings = {recording.first: recording.name for recording in self.prepared.index.recordings}
        firsts = np.array(sorted(recordings))
        for span in without_gaps(spans, self.prepared.minutes):
            name = recordings[int(firsts[np.searchsorted(firsts, span.start, side="right") - 1])]
            rule = rule_for(name, self.options.rules)
            stride = rule.stride if rule is not None and rule.stride is not None else self.options.stride
            found.append(windows_of(span, self.context.shape.length, stride))
        return np.concatenate(found)

    def _report(self, used: int) -> str:
        index = self.prepared.index
        notes = sorted({recording.note for recording in index.recordings if recording.note})
        val = f"{len(self.val)} validation" if self.context.hold_out else "validation = test"
        rule = self.options.split
        if self.context.hold_out and isinstance(rule, ByName) and isinstance(rule.val, float):
            val += f" (none is named so: the last {rule.val:.3g} of training)"
        return (
            f"read {self.prepared.count} frames of {_counted(len(index.recordings), 'recording')} from "
            f"{_counted(index.files, 'file')}"
            f"{''.join(f' ({note})' for note in notes[:1])}{self.adapted}; "
            f"{self.prepared.count - used} frames are in no clip; "
            f"clips: {len(self.train)} train, {val}, {len(self.test)} test"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def find_folder(options: RecordedOptions, context: DatasetContext) -> Path:
    """The folder that holds files of every pattern.

    Raises:
        UserError: there is none.
    """
    if options.path is not None:
        return options.path if options.path.is_dir() else options.path.parent
    for folder in candidate_folders(context.name, context.data_dirs, options.folders):
        if folder.is_dir() and all(any(folder.glob(pattern)) for pattern in options.files):
            return folder
    raise missing_files_error(context.name, context.data_dirs, [options.files], options.source)


def open_matching(options: RecordedOptions, folder: Path) -> list[Recording]:
    """The recordings of the files that match the patterns."""
    paths = sorted(
        {path for pattern in options.files for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES}
    )
    if not options.variables:
        return open_recordings(paths, folder, layout=options.layout)
    per_variable = [
        open_recordings(
            [path for path in paths if len(options.variables) == 1 or variable_matches(path, variable, options)],
            folder,
            variable=variable,
            layout=options.layout,
        )
        for variable in options.variables
    ]
    return join_channels(per_variable)


def variable_matches(path: Path, variable: str, options: RecordedOptions) -> bool:
    """Whether a file holds a variable, told by which pattern found it: the n-th pattern goes with the n-th variable."""
    if len(options.files) != len(options.variables):
        return True
    pattern = options.files[options.variables.index(variable)]
    return path.match(pattern)
