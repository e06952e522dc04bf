"""Gridded flow (vehicles entering and leaving each cell per slot): the reader of the TaxiBJ family.

Axes: T time, C channels (inflow, outflow), H, W grid. Model space takes the min-max of the training frames to [0, 1].
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from stbench.data.benchmarks.folders import Source, find_files, missing_files_error
from stbench.data.dataset import Dataset, DatasetContext
from stbench.data.readers.traffic.flow_file import Calendar, Dropped, FlowFile, Slots, read_flow_file
from stbench.data.readers.traffic.flow_npz import read_flow_npz
from stbench.data.readers.traffic.window_npz import count_range, read_prepared
from stbench.data.splits.windows import (
    SplitRule,
    SplitWindows,
    WindowSplit,
    consecutive_runs,
    leak_free,
    split_windows,
    windows_within,
)
from stbench.errors import UserError
from stbench.files import file_hash
from stbench.schema import Record, Scaling

MINUTES_PER_DAY = 24 * 60


class FlowGridOptions(Record):
    """Which files are read, how their slots are labelled, which frames are kept, how windows are split.

    Attributes:
        files: names of the HDF5 or npz files.
        first_days: for npz files, which carry no dates: the day each begins.
        slots_per_day: 48 for half hours, 24 for hours.
        first_slot: label of a day's first slot (1 in TaxiBJ, 0 in TaxiNYC).
        split: which windows are validation and test.
        drop_incomplete_days: leave out every day that lacks a slot.
        block: ``longest`` keeps each file's longest stretch of consecutive slots only.
        prepared: name of the preprocessed npz (:mod:`stbench.data.readers.traffic.window_npz`) that may stand in
            for ``files``.
        prefer: which of the two to read where both exist.
        source: where to get the files.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    slots_per_day: PositiveInt
    first_slot: NonNegativeInt
    split: SplitRule
    drop_incomplete_days: bool = True
    block: Literal["all", "longest"] = "all"
    prepared: str | None = None
    prefer: Literal["files", "prepared"] = "files"
    source: Source | None = None
    first_days: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _days_fit(self) -> FlowGridOptions:
        undated = [name for name in self.files if name.endswith(".npz")]
        if undated and len(self.first_days) != len(self.files):
            raise ValueError(f"npz files need one of first_days each: {len(self.files)} files, {len(self.first_days)}")
        return self


class FlowGrid(Dataset):
    """Clips of consecutive slots: none crosses a gap or two files, and no two splits share a frame."""

    Options: ClassVar[type[Record]] = FlowGridOptions
    options: FlowGridOptions

    def __init__(self, options: FlowGridOptions, context: DatasetContext) -> None:
        super().__init__(options, context)
        paths = self._found()
        self.fingerprint = file_hash(*paths)
        if [path.name for path in paths] == [options.prepared]:
            self._from_prepared(paths[0])
        else:
            self._from_files(paths)

    def _found(self) -> list[Path]:
        """Paths of the source that is read: all HDF5 files or the prepared one, the preferred one first."""
        choices = [self.options.files]
        if self.options.prepared is not None:
            choices.append((self.options.prepared,))
        if self.options.prefer == "prepared":
            choices.reverse()
        for names in choices:
            paths = find_files(self.context.name, self.context.data_dirs, names)
            if paths is not None:
                return paths
        raise missing_files_error(self.context.name, self.context.data_dirs, choices, self.options.source)

    def _from_files(self, paths: list[Path]) -> None:
        files = self._read(paths)
        length = self.context.shape.length
        groups, possible, offset = [], 0, 0
        for file in files:
            groups.append(windows_within(consecutive_runs(file.slots), length) + offset)
            possible += max(0, len(file.slots) - length + 1)
            offset += len(file.slots)
        frames = np.concatenate([file.frames for file in files])
        windows = split_windows(groups, self.options.split, self.context.hold_out, self.context.name)
        training = frames[np.unique(windows.train)]
        low, high = float(training.min()), float(training.max())
        if low == high:
            raise UserError(f"{self.context.name}: every training frame is {low}; there is nothing to learn.")
        self.scaling = Scaling(offset=(low,), scale=(high - low,))
        frames -= np.float32(low)
        frames /= np.float32(high - low)
        minutes = np.concatenate([file.slots for file in files]) * MINUTES_PER_DAY // self.options.slots_per_day
        self._set_splits(torch.from_numpy(frames), windows, minutes)
        dropped = sum((file.dropped for file in files), Dropped())
        self.report = (
            f"read {sum(file.rows_read for file in files)} frames from {len(files)} files; dropped "
            f"{dropped.duplicated} duplicated slots, {dropped.incomplete_days} slots of incomplete days, "
            f"{dropped.outside_block} outside the longest block, "
            f"{possible - sum(map(len, groups))} windows across gaps, "
            f"{self._split_report(windows)}"
        )

    def _from_prepared(self, path: Path) -> None:
        frames, train, test = read_prepared(path, self.context.shape)
        fraction = self.options.split.val_fraction
        head = len(train) - max(1, round(len(train) * fraction))
        windows = leak_free(train[:head], train[head:], test, self.context.hold_out, self.context.name)
        counts = count_range(frames)
        low, high = counts or (0.0, 1.0)  # a file that does not give its counts away stays in model space
        self.scaling = Scaling(offset=(low,), scale=(high - low,))
        self._set_splits(torch.from_numpy(frames), windows)
        self.report = (
            f"read {len(train)} training and {len(test)} test windows over {len(frames)} frames from {path.name}; "
            f"dropped {self._split_report(windows)}" + ("" if counts else "; its counts are not known")
        )

    def _read(self, paths: list[Path]) -> list[FlowFile]:
        """The cleaned files in time order; refuses two that hold the same slot."""
        calendar = Calendar(self.options.slots_per_day, self.options.first_slot)
        files = [self._read_one(path, number, calendar) for number, path in enumerate(paths)]
        for file in files:
            if not len(file.slots):
                raise UserError(f"{file.path}: no frame is left of {file.rows_read} after cleaning.")
        files.sort(key=lambda file: int(file.slots[0]))
        for earlier, later in pairwise(files):
            if earlier.slots[-1] >= later.slots[0]:
                raise UserError(f"{earlier.path} and {later.path} overlap in time; a slot must be in one file only.")
        return files

    def _read_one(self, path: Path, number: int, calendar: Calendar) -> FlowFile:
        frame = self.context.shape.frame
        if path.suffix == ".npz":
            return read_flow_npz(path, frame, calendar.slots_per_day, self.options.first_days[number])
        return read_flow_file(
            path,
            frame,
            calendar,
            whole_days=self.options.drop_incomplete_days,
            longest_block=self.options.block == "longest",
        )

    def _set_splits(self, frames_TCHW: Tensor, windows: SplitWindows, minutes_T: Slots | None = None) -> None:
        self.train = WindowSplit(frames_TCHW, windows.train, minutes_T)
        self.val = WindowSplit(frames_TCHW, windows.val, minutes_T)
        self.test = WindowSplit(frames_TCHW, windows.test, minutes_T)

    def _split_report(self, windows: SplitWindows) -> str:
        val = f"{len(windows.val)} validation" if self.context.hold_out else "validation = test"
        return (
            f"{windows.straddling} windows that share frames with a later split; "
            f"clips: {len(windows.train)} train, {val}, {len(windows.test)} test"
        )
