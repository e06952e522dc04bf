"""The reader of everything that comes as recordings: videos, picture folders, arrays, HDF5 and NetCDF files.

Frames are decoded once into the frame cache; clips are windows over it. Axes: T time, C channels, H, W, N windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

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
from stbench.data.readers.forms import in_the_form_here, numbered_spans
from stbench.data.readers.frame_list import frames_in_use, read_ranges
from stbench.data.scaling import Scale, learn_scaling
from stbench.data.splits.rules import ByName, SplitRule
from stbench.data.splits.windowed_split import WindowedSplit, windowed_splits
from stbench.data.splits.windows import Cutter, NameRule, SplitWindows, keep_apart, rule_for, said_of_leak
from stbench.errors import UserError


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
        numbers: for pictures: pattern whose first group is the frame's number in a file name; no clip crosses a gap.
        offsets: frames of a clip, counted from its first; None takes consecutive ones.
        overlap: ``keep`` trains on windows that share frames with test where validation is not held out, as published.
        statistics: what ``scale`` is learned from: the training frames, or those of each split (as published).
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
    numbers: str | None = None
    offsets: tuple[NonNegativeInt, ...] | None = None
    overlap: Literal["drop", "keep"] = "drop"
    statistics: Literal["train", "split"] = "train"
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
        options = in_the_form_here(options, context)
        folder = find_folder(options, context)
        recordings = open_matching(options, folder)
        cache = decode_to_size(recordings, options, context)
        in_use = None
        if options.ranges is not None:
            in_use = frames_in_use(cache.index.recordings, read_ranges(folder, options.ranges))
        if options.numbers is not None:
            in_use = numbered_spans(recordings, cache.index.recordings, options.numbers)
        offsets = _offsets(options, context)
        length = offsets[-1] + 1
        cutter = Cutter(cache.index.recordings, cache.minutes, length, options.stride, options.rules, in_use)
        divided = options.split.divide(cutter, context.name)
        return splits_of(options, context, cache, recordings, SplitWindows(*(part[:, offsets] for part in divided)))


def _offsets(options: RecordedOptions, context: DatasetContext) -> list[int]:
    """Places of a clip's frames, counted from its first.

    Raises:
        UserError: they are not as many as the clip has frames, or not in order from 0.
    """
    length = context.shape.length
    offsets = list(options.offsets) if options.offsets is not None else list(range(length))
    if len(offsets) != length or offsets[0] != 0 or sorted(set(offsets)) != offsets:
        raise UserError(f"{context.name}: offsets {offsets} must be {length} growing numbers from 0, one per frame.")
    return offsets


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
        step, first = (rule.step, rule.first) if rule is not None else (1, None)
        return slice(step - 1 if first is None else first, recording.length, step)

    return decode_once(context.name, recordings, _size(options, context), keep=kept, on_decoded=context.on_decoded)


def splits_of(
    options: RecordedOptions,
    context: DatasetContext,
    cache: FrameCache,
    recordings: Sequence[Recording],
    divided: SplitWindows,
) -> Splits:
    """Keep the splits apart, learn the scaling from the training frames, and report what was read."""
    apart = keep_apart(
        divided,
        context.hold_out,
        context.name,
        join_val=options.split.val_joins_training,
        as_published=options.overlap == "keep",
    )
    windows = apart.windows
    scaling = learn_scaling(cache.statistics[np.unique(windows.train)], options.scale, context.name)
    parts = windowed_splits(cache, windows, scaling, options.augment)
    if options.statistics == "split":
        parts = _each_by_itself(parts, options, cache, context)
        scaling = parts["train"].scaling
    note = adapted([recording.frame for recording in recordings], _size(options, context))
    used = len(np.unique(np.concatenate([part.ravel() for part in windows])))
    shared = f"; {apart.straddling} windows share frames with a later split" if apart.straddling else ""
    return Splits(
        **parts,
        report=(
            f"{_read(cache)}{note}; {cache.count - used} frames are in no clip{shared}; "
            f"clips: {len(windows.train)} train, {_validation(options, context, windows)}, {len(windows.test)} test"
            f"{said_of_leak(apart)}"
        ),
        fingerprint=cache.index.source,
        scaling=scaling,
        frame_cache=cache.path,
    )


def _each_by_itself(
    parts: dict[str, WindowedSplit], options: RecordedOptions, cache: FrameCache, context: DatasetContext
) -> dict[str, WindowedSplit]:
    """Scale each split by its own frames, from its first window's to one past its last window's, as published."""
    scaled = {}
    for name, part in parts.items():
        frames = np.arange(part.windows_NT.min(), min(cache.count, part.windows_NT.max() + 2))
        scaling = learn_scaling(cache.statistics[frames], options.scale, context.name)
        scaled[name] = WindowedSplit(cache, part.windows_NT, scaling, part.augment)
    return scaled


def _size(options: RecordedOptions, context: DatasetContext) -> FrameSize:
    channels, height, width = context.shape.frame
    return FrameSize(height=height, width=width, channels=channels, fit=options.fit)


def _may_hold(path: Path, variable: str, options: RecordedOptions) -> bool:
    """Tell whether a file may hold a variable: the n-th of as many patterns goes with the n-th variable."""
    names = list(dict.fromkeys(name.partition("@")[0] for name in options.variables))  # levels of one are in one file
    if len(names) == 1 or len(options.files) != len(names):
        return True
    return path.match(options.files[names.index(variable.partition("@")[0])])


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
