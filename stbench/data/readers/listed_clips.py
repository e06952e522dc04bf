"""Clips named one by one in text files, as Human3.6M has them: a line is ``prefix,first frame``.

The pictures of a clip are ``<prefix><six digits>.jpg`` (or png), every ``step``-th from the first on. A picture that
several clips share is decoded once. Axes: N windows, T frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from stbench.data.dataset import DatasetContext, Reader, ReaderOptions, Splits
from stbench.data.formats.guard import readable
from stbench.data.formats.images import open_images
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.readers.chosen_files import find_folder
from stbench.data.readers.recordings import RecordedOptions, decode_to_size, splits_of
from stbench.data.splits.rules import DividesFrames
from stbench.data.splits.windows import SPLITS, Cutter, SplitWindows
from stbench.errors import UserError

SUFFIXES = (".jpg", ".png")

Clip = tuple[str, int]  # prefix, first frame


class ListedOptions(RecordedOptions):
    """As for recordings; ``files`` are the lists, ``step`` the frames between two of a clip."""

    split: DividesFrames
    step: PositiveInt = 1


class Listed(Reader):
    """Clips of lists; which split a clip is in follows from its prefix."""

    Options: ClassVar[type[ReaderOptions]] = ListedOptions

    @classmethod
    def open(cls, options: ListedOptions, context: DatasetContext) -> Splits:
        """Decode the pictures that the lists name once, and put each clip into the split of its prefix."""
        options.augment.check(context.shape, context.name)
        folder = find_folder(options, context)
        clips = read_lists(folder, options.files)
        if not clips:
            raise UserError(f"{context.name}: {', '.join(options.files)} in {folder} list no clip.")
        offsets = np.arange(context.shape.length) * options.step
        numbers: dict[str, set[int]] = defaultdict(set)
        for prefix, first in clips:
            numbers[prefix].update((first + offsets).tolist())
        needed = {prefix: sorted(numbers[prefix]) for prefix in sorted(numbers)}
        recordings = [
            recording
            for prefix in needed
            for recording in open_images([_picture(folder, prefix, number) for number in needed[prefix]], prefix)
        ]
        cache = decode_to_size(recordings, options, context)
        rows = [(prefix, np.searchsorted(needed[prefix], first + offsets)) for prefix, first in clips]
        return splits_of(options, context, cache, recordings, _divide(rows, options, context, cache))


def read_lists(folder: Path, names: Sequence[str]) -> list[Clip]:
    """Read every clip of every list once, in order.

    Raises:
        UserError: a line is not of the form ``prefix,frame``.
    """
    found: dict[Clip, None] = {}
    for name in names:
        with readable(folder / name, "a list of clips"):
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            prefix, comma, first = line.partition(",")
            if not comma or not first.strip().isdecimal():
                raise UserError(f"{folder / name}, line {number}: {line!r} is not 'prefix,first frame'.")
            found[prefix.strip(), int(first)] = None
    return list(found)


def _picture(folder: Path, prefix: str, number: int) -> Path:
    for suffix in SUFFIXES:
        path = folder / f"{prefix}{number:06d}{suffix}"
        if path.is_file():
            return path
    raise UserError(
        f"{folder / prefix}{number:06d} (jpg or png) is missing, which the lists name. Extract every frame."
    )


def _divide(
    clips: Sequence[tuple[str, np.ndarray]], options: ListedOptions, context: DatasetContext, cache: FrameCache
) -> SplitWindows:
    """Put each clip (its prefix and the places of its frames) into the split of its recording."""
    where, length = context.name, context.shape.length
    cutter = Cutter(cache.index.recordings, cache.minutes, length)
    spans = options.split.spans(cutter.recordings, cutter.minutes, where)
    split_of = {span.start: split for split in SPLITS for span in spans[split]}
    first_of = {recording.name: recording.first for recording in cache.index.recordings}
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for prefix, places in clips:
        split = split_of.get(first_of[prefix])
        if split is None:
            raise UserError(f"{where}: the clip {prefix!r} of the lists belongs to none of train, val and test.")
        rows[split].append(first_of[prefix] + places)
    windows = SplitWindows(*(np.array(rows[split], dtype=np.int64).reshape(-1, length) for split in SPLITS))
    cutter.check_filled(windows, {split: [] for split in SPLITS}, where)
    return windows
