"""The reader of recordings: videos, folders of pictures, arrays, HDF5 and NetCDF files.

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
from stbench.data.formats.axes import Layout
from stbench.data.formats.channels import open_channels
from stbench.data.formats.fields import Choice, Level
from stbench.data.formats.named_files import NamedFiles
from stbench.data.formats.open import holding
from stbench.data.formats.series import join_within
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.missing import Fill, lacking
from stbench.data.frame_cache.resize import Fit, FrameSize, adapted
from stbench.data.readers.chosen_files import chosen_paths, find_folder
from stbench.data.readers.forms import in_the_form_here, numbered_spans
from stbench.data.readers.frame_list import frames_in_use, read_ranges
from stbench.data.readers.understood import times_said, understood
from stbench.data.scaling import BYTES, Scale, learn_scaling
from stbench.data.splits.doubts import refuse_interleaved, warnings
from stbench.data.splits.rules import ByFraction, ByName, SplitRule
from stbench.data.splits.windowed_split import WindowedSplit, WindowedSplits, windowed_splits
from stbench.data.splits.windows import Cutter, NameRule, SplitWindows, keep_apart, rule_for, said_of_leak
from stbench.errors import UserError, counted
from stbench.schema import Benchmark, ClipShape, Scaling


class RecordedOptions(ReaderOptions):
    """Which files are read, how frames are converted, and how windows are cut and split.

    Attributes:
        files: patterns of file names below the benchmark's folder (``**/`` for any depth); all are needed.
        path: the user's own folder or file, read instead of the benchmark's folder.
        listing: the files below ``path`` at planning; exactly these are read.
        variables: the array or NetCDF variable to read; several become channels.
        layout: a letter for each axis of an array; ``auto`` tells them apart, or refuses.
        level: of an array with levels: a value of their coordinate, ``last``, or None, which refuses several.
        series: dated files that follow each other are one series.
        fill: what stands in for missing values, in the files' units, and is then scored like data.
        missing: what ``fill`` does not replace: ``mask`` leaves these cells out of losses and metrics and fills inputs
            (:mod:`stbench.nn.missing`), ``refuse`` stops. By default only a user's own data are masked.
        fit: how frames are brought to the benchmark's size.
        split: which recordings, frames or windows are train, validation and test.
        scale: how values are taken to model space, learned from the training frames.
        stride: frames between the starts of two windows.
        rules: exceptions by a recording's name; the first that matches counts.
        ranges: name of a text file that lists the frames in use.
        numbers: for pictures: pattern whose first group is the frame number in a file name; no clip crosses a gap.
        offsets: frames of a clip, counted from its first; None takes consecutive ones.
        overlap: ``keep`` trains on windows that share frames with test if validation is not held out, as published.
        statistics: frames that ``scale`` is learned from: training, or each split's own (as published).
        augment: augmentation of training clips, drawn anew each epoch (:class:`stbench.data.augment.Augment`).
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    path: Path | None = None
    listing: NamedFiles | None = None
    variables: tuple[str, ...] = ()
    layout: Layout = "auto"
    level: Level = "last"
    series: bool = False
    fill: float | None = None
    missing: Literal["mask", "refuse"] | None = None
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
        """The patterns; empty if the user names the path."""
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
        cutter = Cutter(cache.index.recordings, cache.seconds, length, options.stride, options.rules, in_use)
        divided = options.split.divide(cutter, context.name)
        return splits_of(options, context, cache, recordings, SplitWindows(*(part[:, offsets] for part in divided)))


def _offsets(options: RecordedOptions, context: DatasetContext) -> list[int]:
    """Return the positions of a clip's frames, counted from its first.

    Raises:
        UserError: their number is not the clip's length, or they do not grow from 0.
    """
    length = context.shape.length
    offsets = list(options.offsets) if options.offsets is not None else list(range(length))
    if len(offsets) != length or offsets[0] != 0 or sorted(set(offsets)) != offsets:
        raise UserError(f"{context.name}: offsets {offsets} must be {length} growing numbers from 0, one per frame.")
    return offsets


def open_matching(options: RecordedOptions, folder: Path) -> list[Recording]:
    """Open the recordings of the files that match the patterns."""
    paths = chosen_paths(options, folder)
    choice, apart = Choice(options.layout, options.level), isinstance(options.split, ByName)
    if not options.variables:
        found = open_recordings(paths, folder, choice=choice)
        return join_within(found, apart) if options.series else found
    paths_of = {variable: _may_hold(paths, variable, options) for variable in options.variables}
    return open_channels(paths_of, folder, choice, options.series, apart)


def understood_of(benchmark: Benchmark) -> tuple[tuple[str, str], ...]:
    """Return what is understood of a user's own data before decoding, as (name, text) pairs.

    Raises:
        UserError: a file cannot be read, or its axes are ambiguous.
    """
    options = RecordedOptions.parse(benchmark.dataset.options, f"{benchmark.name}: dataset.options")
    folder = find_folder(options, DatasetContext(benchmark.name, benchmark.shape, ()))
    return understood(open_matching(options, folder), frame_size(options, benchmark.shape))


def decode_to_size(recordings: Sequence[Recording], options: RecordedOptions, context: DatasetContext) -> FrameCache:
    """Decode the recordings into the frame cache, in the benchmark's frame size."""

    def kept(recording: Recording) -> slice:
        rule = rule_for(recording.name, options.rules)
        step, first = (rule.step, rule.first) if rule is not None else (1, None)
        return slice(step - 1 if first is None else first, recording.length, step)

    masked = options.missing == "mask" or (options.missing is None and options.path is not None)
    fill: Fill = "leave" if masked and options.fill is None else options.fill
    size, told = frame_size(options, context.shape), context.on_decoded
    return decode_once(context.name, recordings, size, keep=kept, fill=fill, on_decoded=told)


def splits_of(
    options: RecordedOptions,
    context: DatasetContext,
    cache: FrameCache,
    recordings: Sequence[Recording],
    divided: SplitWindows,
) -> Splits:
    """Separate the splits, learn the scaling from the training frames, and report what was read."""
    apart = keep_apart(
        divided,
        context.hold_out,
        context.name,
        join_val=options.split.val_joins_training,
        as_published=options.overlap == "keep",
    )
    windows = apart.windows
    if options.path is not None:
        refuse_interleaved(windows, cache.seconds, context.name)
    scaling = learn_scaling(cache.statistics[np.unique(windows.train)], options.scale, context.name)
    parts = windowed_splits(cache, windows, scaling, options.augment)
    if options.statistics == "split":
        parts = _each_by_itself(parts, options, cache, context)
        scaling = parts["train"].scaling
    size = frame_size(options, context.shape)
    note = adapted([recording.frame for recording in recordings], size)
    said = _doubts(options, cache, windows, scaling)
    used = len(np.unique(np.concatenate([part.ravel() for part in windows])))
    shared = f"; {apart.straddling} windows share frames with a later split" if apart.straddling else ""
    return Splits(
        **parts,
        report=(
            f"{_read(cache, recordings)}{note}; {cache.count - used} frames are in no clip{shared}; "
            f"clips: {len(windows.train)} train, {_validation(options, context, windows)}, {len(windows.test)} test"
            f"{said_of_leak(apart)}" + "".join(f"; {text}" for text in said)
        ),
        fingerprint=cache.index.source,
        scaling=scaling,
        frame_cache=cache.path,
        understood=understood(recordings, size, f"; {lacking(cache.index.recordings, recordings) or 'none found'}"),
        calendar=cache.index.recordings[0].calendar,
        incomplete=any(recording.missing for recording in cache.index.recordings),
    )


def _each_by_itself(
    parts: WindowedSplits, options: RecordedOptions, cache: FrameCache, context: DatasetContext
) -> WindowedSplits:
    """Scale each split by its own frames, from its first window to one frame past its last, as published."""

    def scaled(part: WindowedSplit) -> WindowedSplit:
        frames = np.arange(part.windows_NT.min(), min(cache.count, part.windows_NT.max() + 2))
        scaling = learn_scaling(cache.statistics[frames], options.scale, context.name)
        return WindowedSplit(cache, part.windows_NT, scaling, part.augment)

    return WindowedSplits(train=scaled(parts["train"]), val=scaled(parts["val"]), test=scaled(parts["test"]))


def frame_size(options: RecordedOptions, shape: ClipShape) -> FrameSize:
    """Return the size and channels that frames are converted to."""
    channels, height, width = shape.frame
    return FrameSize(height=height, width=width, channels=channels, fit=options.fit)


def _may_hold(paths: Sequence[Path], variable: str, options: RecordedOptions) -> list[Path]:
    """Return the files that may hold a variable; if there are as many patterns as variables, the n-th belongs to it."""
    if options.path is not None:
        return holding(paths, variable) if len(options.variables) > 1 else list(paths)
    names = list(dict.fromkeys(name.partition("@")[0] for name in options.variables))  # levels of one are in one file
    if len(names) == 1 or len(options.files) != len(names):
        return list(paths)
    pattern = options.files[names.index(variable.partition("@")[0])]
    return [path for path in paths if path.match(pattern)]


def _read(cache: FrameCache, recordings: Sequence[Recording]) -> str:
    index = cache.index
    facts = dict.fromkeys(
        f"{name} {recording.facts[name]}"
        for recording in recordings
        for name in ("axes", "frames", "variable", "level")
        if name in recording.facts
    )
    further = (times_said(recordings), lacking(index.recordings, recordings))
    said = [text for text in (*list(facts)[:3], *further) if text]
    return f"read {cache.count} frames of {counted(len(index.recordings), 'recording')} from " + (
        f"{counted(index.files, 'file')} ({'; '.join(said)})"
    )


def _doubts(options: RecordedOptions, cache: FrameCache, windows: SplitWindows, scaling: Scaling) -> list[str]:
    """Return the notes for a table: an unusual scale, a small or one-sided test split."""
    said = []
    if options.scale == "bytes" and scaling.scale != (BYTES,):
        said.append(f"values scaled by their largest in training, {scaling.scale[0]:g}, and not by {BYTES:g}")
    if options.path is not None:
        said += warnings(windows, cache.index.recordings, isinstance(options.split, ByFraction))
    return said


def _validation(options: RecordedOptions, context: DatasetContext, windows: SplitWindows) -> str:
    if not context.hold_out:
        return "validation = test"
    rule = options.split
    share = rule.val if isinstance(rule, ByName) else None
    cut = f" (none is named so: the last {share:.3g} of training)" if isinstance(share, float) else ""
    return f"{len(windows.val)} validation{cut}"
