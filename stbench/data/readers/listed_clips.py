"""Clips named one by one in text files, as Human3.6M has them: a line is ``prefix,first frame``.

The pictures of a clip are ``<prefix><six digits>.jpg`` (or png), every ``step``-th from the first on. A picture that
several clips share is decoded once. Axes: N windows, T frames.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from stbench.data.formats import Recording
from stbench.data.formats.images import open_images
from stbench.data.readers.recordings import Recorded, RecordedOptions
from stbench.data.splits.rules import SPLITS, check_filled, split_spans
from stbench.data.splits.windows import Windows
from stbench.errors import UserError
from stbench.schema import Record

SUFFIXES = (".jpg", ".png")


class ListedOptions(RecordedOptions):
    """As for recordings; ``files`` are the lists, ``step`` the frames between two of a clip."""

    step: PositiveInt = 1


class Listed(Recorded):
    """Clips of lists; which split a clip is in follows from its prefix."""

    Options: ClassVar[type[Record]] = ListedOptions
    options: ListedOptions

    @cached_property
    def clips(self) -> list[tuple[str, int]]:
        """Prefix and first frame of every clip of every list.

        Raises:
            UserError: a line is not of the form ``prefix,frame``.
        """
        found: dict[tuple[str, int], None] = {}
        for name in self.options.files:
            for number, line in enumerate((self.folder / name).read_text(encoding="utf-8").splitlines(), 1):
                if not line.strip():
                    continue
                prefix, comma, first = line.partition(",")
                if not comma or not first.strip().isdigit():
                    raise UserError(f"{self.folder / name}, line {number}: {line!r} is not 'prefix,first frame'.")
                found[prefix.strip(), int(first)] = None
        return list(found)

    @cached_property
    def needed(self) -> dict[str, list[int]]:
        """Frame numbers that each prefix's clips are made of, prefixes and numbers in ascending order."""
        numbers: dict[str, set[int]] = defaultdict(set)
        for prefix, first in self.clips:
            numbers[prefix].update(self._frames(first))
        return {prefix: sorted(numbers[prefix]) for prefix in sorted(numbers)}

    def _recordings(self) -> list[Recording]:
        if not self.needed:
            raise UserError(f"{self.context.name}: {', '.join(self.options.files)} in {self.folder} list no clip.")
        return [
            open_images([self._picture(prefix, number) for number in numbers], prefix)
            for prefix, numbers in self.needed.items()
        ]

    def _frames(self, first: int) -> range:
        return range(first, first + self.context.shape.length * self.options.step, self.options.step)

    def _picture(self, prefix: str, number: int) -> Path:
        for suffix in SUFFIXES:
            path = self.folder / f"{prefix}{number:06d}{suffix}"
            if path.is_file():
                return path
        raise UserError(
            f"{self.folder / prefix}{number:06d} (jpg or png) is missing, which the lists name. Extract every frame."
        )

    def _windows(self) -> dict[str, Windows]:
        index, where = self.prepared.index, self.context.name
        spans = split_spans(self.options.split, index.recordings, self.prepared.minutes, where)
        split_of = {span.start: split for split in SPLITS for span in spans[split]}
        first_of = {recording.name: recording.first for recording in index.recordings}
        rows: dict[str, list[Windows]] = {split: [] for split in SPLITS}
        for prefix, first in self.clips:
            split = split_of.get(first_of[prefix])
            if split is None:
                raise UserError(f"{where}: the clip {prefix!r} of the lists belongs to none of train, val and test.")
            rows[split].append(first_of[prefix] + np.searchsorted(self.needed[prefix], self._frames(first)))
        length = self.context.shape.length
        windows = {split: np.array(rows[split], dtype=np.int64).reshape(-1, length) for split in SPLITS}
        check_filled(windows, {split: [] for split in SPLITS}, length, where)
        return windows
