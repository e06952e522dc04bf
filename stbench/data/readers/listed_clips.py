"""Clips listed in text files, as for Human3.6M: a line is ``prefix,first frame,last frame``.

The pictures of a clip are ``<prefix><six digits>.jpg`` (or png), every ``step``-th from the first. A picture shared by
several clips is decoded once. The last frame number is optional and not used. Axes: N windows, T frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt, model_validator

from stbench.data.dataset import DatasetContext, Reader, ReaderOptions, Splits
from stbench.data.formats.guard import readable
from stbench.data.formats.images import open_images
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.readers.chosen_files import find_folder
from stbench.data.readers.recordings import RecordedOptions, decode_to_size, splits_of
from stbench.data.splits.rules import DividesFrames
from stbench.data.splits.windows import SPLITS, Cutter, SplitWindows, Windows
from stbench.errors import UserError

SUFFIXES = (".jpg", ".png")

Clip = tuple[str, int]  # prefix, first frame
Row = tuple[str, np.ndarray]  # prefix, numbers of the cached frames


class ListedOptions(RecordedOptions):
    """Options of recordings; ``files`` are the lists, ``step`` is the number of frames from one clip frame to the next.

    Attributes:
        by_list: True takes training from the first list and test from the second, as published. False pools the lists
            and divides the clips by ``split``.
        places: patterns of further folders with the pictures, named by the last part of the prefix.
    """

    split: DividesFrames
    step: PositiveInt = 1
    by_list: bool = False
    places: tuple[str, ...] = ("*", "*/images")

    @model_validator(mode="after")
    def _two_lists(self) -> ListedOptions:
        if self.by_list and len(self.files) != 2:
            raise ValueError(f"by_list takes two lists, training and test; got {len(self.files)}")
        return self


class Listed(Reader):
    """Clips of lists; the prefix of a clip decides its split."""

    Options: ClassVar[type[ReaderOptions]] = ListedOptions

    @classmethod
    def open(cls, options: ListedOptions, context: DatasetContext) -> Splits:
        """Decode each listed picture once, and assign each clip to the split of its prefix."""
        options.augment.check(context.shape, context.name)
        folder = find_folder(options, context)
        lists = [read_lists(folder, [name]) for name in options.files]
        clips = list(dict.fromkeys(clip for found in lists for clip in found))
        if not clips:
            raise UserError(f"{context.name}: {', '.join(options.files)} in {folder} list no clip.")
        offsets = np.arange(context.shape.length) * options.step
        numbers: dict[str, set[int]] = defaultdict(set)
        for prefix, first in clips:
            numbers[prefix].update((first + offsets).tolist())
        needed = {prefix: sorted(numbers[prefix]) for prefix in sorted(numbers)}
        homes = [home for place in options.places for home in sorted(folder.glob(place)) if home.is_dir()]
        recordings = [
            recording
            for prefix in needed
            for recording in open_images([_picture(folder, homes, prefix, number) for number in needed[prefix]], prefix)
        ]
        cache = decode_to_size(recordings, options, context)
        first_of = {recording.name: recording.first for recording in cache.index.recordings}

        def rows_of(listed: Sequence[Clip]) -> list[Row]:
            return [(prefix, first_of[prefix] + np.searchsorted(needed[prefix], at + offsets)) for prefix, at in listed]

        if options.by_list:
            train, test = (_stacked(rows_of(found), context.shape.length) for found in lists)
            divided = SplitWindows(train, train[:0], test)
            if context.hold_out:
                raise UserError(f"{context.name}: by_list holds nothing out; use it with 'selection: test'.")
        else:
            divided = _divide(rows_of(clips), options, context, cache)
        return splits_of(options, context, cache, recordings, divided)


def read_lists(folder: Path, names: Sequence[str]) -> list[Clip]:
    """Read every clip of every list once, in order.

    Raises:
        UserError: a line is not of the form ``prefix,first`` or ``prefix,first,last``.
    """
    found: dict[Clip, None] = {}
    for name in names:
        with readable(folder / name, "a list of clips"):
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            prefix, *numbers = (part.strip() for part in line.split(","))
            if not prefix or len(numbers) not in (1, 2) or not all(part.isdecimal() for part in numbers):
                raise UserError(f"{folder / name}, line {number}: {line!r} is not 'prefix,first frame,last frame'.")
            found[prefix, int(numbers[0])] = None
    return list(found)


def _picture(folder: Path, homes: Sequence[Path], prefix: str, number: int) -> Path:
    last = prefix.rpartition("/")[2]
    for stem in (folder / prefix, *(home / last for home in homes)):
        for suffix in SUFFIXES:
            path = stem.with_name(f"{stem.name}{number:06d}{suffix}")
            if path.is_file():
                return path
    raise UserError(
        f"{folder / prefix}{number:06d} (jpg or png) is missing, which the lists name. Extract every frame."
    )


def _divide(clips: Sequence[Row], options: ListedOptions, context: DatasetContext, cache: FrameCache) -> SplitWindows:
    """Assign each clip (its prefix and frame numbers) to the split of its recording."""
    where, length = context.name, context.shape.length
    cutter = Cutter(cache.index.recordings, cache.seconds, length)
    spans = options.split.spans(cutter.recordings, cutter.seconds, where)
    split_of = {span.start: split for split in SPLITS for span in spans[split]}
    first_of = {recording.name: recording.first for recording in cache.index.recordings}
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for prefix, places in clips:
        split = split_of.get(first_of[prefix])
        if split is None:
            raise UserError(f"{where}: the clip {prefix!r} of the lists belongs to none of train, val and test.")
        rows[split].append((prefix, places))
    windows = SplitWindows(*(_stacked(rows[split], length) for split in SPLITS))
    cutter.check_filled(windows, {split: [] for split in SPLITS}, where)
    return windows


def _stacked(rows: Sequence[Row], length: int) -> Windows:
    """Return the frame numbers of clips, (N, T)."""
    return np.array([places for _, places in rows], dtype=np.int64).reshape(-1, length)
