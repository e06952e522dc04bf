"""The reader of everything that comes as recordings: videos, picture folders, arrays, HDF5 and NetCDF files.

Frames are decoded once into the frame cache; clips are windows over it. Axes: T time, C channels, H, W, N windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from stbench.data.augment import Augment
from stbench.data.dataset import DatasetContext, Reader, ReaderOptions, Splits
from stbench.data.formats import Recording, open_recordings
from stbench.data.formats.arrays import Layout
from stbench.data.formats.channels import join_channels
from stbench.data.formats.named_files import NamedFiles
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import Fit, FrameSize, adapted
from stbench.data.readers.chosen_files import chosen_paths, find_folder
from stbench.data.readers.frame_list import frames_in_use, read_ranges
from stbench.data.scaling import Scale, learn_scaling
from stbench.data.splits.rules import ByName, SplitRule
from stbench.data.splits.windowed_split import windowed_splits
from stbench.data.splits.windows import Cutter, NameRule, SplitWindows, keep_apart, rule_for


class RecordedOptions(ReaderOptions):
    """Which files are read, what frames are brought to, and how windows are cut and split.

    Attributes:
        files: patterns of file names below the benchmark's folder (``**/`` for any depth); all are needed.
        path: a folder or file of the user's own, read instead of the benchmark's folder.
        listing: the files below ``path`` that were planned with; exactly they are read.
        variables: the array or NetCDF variable to read; several become channels.
        layout: axes of an array; ``auto`` takes one of at most four as channels.
        fit: how frames are brought to the benchmark's size.
        split: which recordings, frames or windows are train, validation and test.
        scale: how values are taken to model space, learned from the training frames.
        stride: frames between the starts of two windows.
        rules: exceptions by a recording's name; the first that matches counts.
        ranges: name of a text file that lists the frames in use.
        augment: what is done to training clips anew each epoch (:class:`stbench.data.augment.Augment`).
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    path: Path | None = None
    listing: NamedFiles | None = None
    variables: tuple[str, ...] = ()
    layout: Layout = "auto"
    fit: Fit = "cover"
    split: SplitRule
    scale: Scale = "unit"
    stride: PositiveInt = 1
    rules: tuple[NameRule, ...] = ()
    ranges: str | None = None
    augment: Augment = Augment()

    @property
    def file_sets(self) -> tuple[tuple[str, ...], ...]:
        """The patterns; nothing is looked for if the user names the place."""
        return () if self.path is not None else (self.files,)


class Recorded(Reader):
    """Clips of consecutive frames of one recording; none crosses a gap in time or two splits."""

    Options: ClassVar[type[ReaderOptions]] = RecordedOptions

    @classmethod
    def open(cls, options: RecordedOptions, context: DatasetContext) -> Splits:
        """Decode the recordings once, cut windows and divide them."""
        options.augment.check(context.shape, context.name)
        folder = find_folder(options, context)
        recordings = open_matching(options, folder)
        cache = decode_to_size(recordings, options, context)
        in_use = None
        if options.ranges is not None:
            in_use = frames_in_use(cache.index.recordings, read_ranges(folder, options.ranges))
        cutter = Cutter(
            cache.index.recordings, cache.minutes, context.shape.length, options.stride, options.rules, in_use
        )
        return splits_of(options, context, cache, recordings, options.split.divide(cutter, context.name))


def open_matching(options: RecordedOptions, folder: Path) -> list[Recording]:
    """Open the recordings of the files that match the patterns."""
    paths = chosen_paths(options, folder)
    if not options.variables:
        return open_recordings(paths, folder, layout=options.layout)
    per_variable = [
        open_recordings(
            [path for path in paths if _may_hold(path, variable, options)],
            folder,
            variable=variable,
            layout=options.layout,
        )
        for variable in options.variables
    ]
    return join_channels(per_variable)


def decode_to_size(recordings: Sequence[Recording], options: RecordedOptions, context: DatasetContext) -> FrameCache:
    """Bring the recordings into the frame cache, in the benchmark's frame size."""

    def kept(recording: Recording) -> slice:
        rule = rule_for(recording.name, options.rules)
        step = rule.step if rule is not None else 1
        return slice(step - 1, recording.length, step)

    return decode_once(context.name, recordings, _size(options, context), keep=kept, on_decoded=context.on_decoded)


def splits_of(
    options: RecordedOptions,
    context: DatasetContext,
    cache: FrameCache,
    recordings: Sequence[Recording],
    divided: SplitWindows,
) -> Splits:
    """Keep the splits apart, learn the scaling from the training frames, and report what was read."""
    apart = keep_apart(divided, context.hold_out, context.name, join_val=options.split.val_joins_training)
    windows = apart.windows
    scaling = learn_scaling(cache.statistics[np.unique(windows.train)], options.scale, context.name)
    note = adapted([recording.frame for recording in recordings], _size(options, context))
    used = len(np.unique(np.concatenate([part.ravel() for part in windows])))
    shared = f"; {apart.straddling} windows share frames with a later split" if apart.straddling else ""
    return Splits(
        **windowed_splits(cache, windows, scaling, options.augment),
        report=(
            f"{_read(cache)}{note}; {cache.count - used} frames are in no clip{shared}; "
            f"clips: {len(windows.train)} train, {_validation(options, context, windows)}, {len(windows.test)} test"
        ),
        fingerprint=cache.index.source,
        scaling=scaling,
        frame_cache=cache.path,
    )


def _size(options: RecordedOptions, context: DatasetContext) -> FrameSize:
    channels, height, width = context.shape.frame
    return FrameSize(height=height, width=width, channels=channels, fit=options.fit)


def _may_hold(path: Path, variable: str, options: RecordedOptions) -> bool:
    """Tell whether a file may hold a variable: the n-th of as many patterns goes with the n-th variable."""
    if len(options.variables) == 1 or len(options.files) != len(options.variables):
        return True
    return path.match(options.files[options.variables.index(variable)])


def _read(cache: FrameCache) -> str:
    index = cache.index
    notes = sorted({recording.note for recording in index.recordings if recording.note})
    said = f" ({notes[0]})" if notes else ""
    return f"read {cache.count} frames of {_counted(len(index.recordings), 'recording')} from " + (
        f"{_counted(index.files, 'file')}{said}"
    )


def _validation(options: RecordedOptions, context: DatasetContext, windows: SplitWindows) -> str:
    if not context.hold_out:
        return "validation = test"
    rule = options.split
    share = rule.val if isinstance(rule, ByName) else None
    cut = f" (none is named so: the last {share:.3g} of training)" if isinstance(share, float) else ""
    return f"{len(windows.val)} validation{cut}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)
