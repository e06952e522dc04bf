"""Events named in a catalogue and stored many to a file, as SEVIR has them: ``CATALOG.csv`` and HDF5 files.

A row of the catalogue is one event and image type: its id, file, place in the file, time, and the share of missing
pixels. A file's array is (N, H, W, T), bytes. Axes: N events or windows, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt

from stbench.data.benchmarks.folders import candidate_folders, missing_files_error
from stbench.data.dataset import DatasetContext, Reader, ReaderOptions, Splits
from stbench.data.formats.guard import open_h5
from stbench.data.formats.listing import holds_all
from stbench.data.formats.recording import Blocks, Recording
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import Fit, FrameSize
from stbench.data.scaling import learn_scaling
from stbench.data.splits.windowed_split import windowed_splits
from stbench.data.splits.windows import SplitWindows, Windows, keep_apart
from stbench.errors import UserError

COLUMNS = ("id", "file_name", "file_index", "img_type", "time_utc", "pct_missing")
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError)
VAL_SEED = 0


class EventOptions(ReaderOptions):
    """Which events are read, what is made of their frames, how windows are cut, and when splits begin.

    Attributes:
        files: patterns of the catalogue (first) and of the files it names.
        kind: image type of the catalogue's rows, and name of the array in the files.
        frames: that every event must have.
        train_until: last moment of training (an event of this very time belongs to it).
        val_until: last moment of validation, after which test begins; None draws ``val_share`` of the training events.
        val_share: share of the training events held out then, drawn with a fixed seed.
        step: every ``step``-th frame is kept, the first among them.
        stride: frames (of those kept) between the starts of two windows, counted from an event's first frame.
        pool: side of the blocks of pixels that are averaged.
        fit: how frames are brought to the benchmark's size after that.
    """

    files: Annotated[tuple[str, ...], Field(min_length=2)]
    kind: str = "vil"
    frames: PositiveInt = 49
    train_until: datetime
    val_until: datetime | None = None
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    step: PositiveInt = 1
    stride: PositiveInt
    pool: PositiveInt = 1
    fit: Fit = "stretch"


class CataloguedEvents(Reader):
    """Windows of events; an event is in one split only."""

    Options: ClassVar[type[ReaderOptions]] = EventOptions

    @classmethod
    def open(cls, options: EventOptions, context: DatasetContext) -> Splits:
        """Choose the events, decode them once, cut windows."""
        folder = _find(options, context)
        events, note = select(folder / options.files[0], options, context.name)
        recordings = [_recording(folder, row, options) for row in events.itertuples(index=False)]
        channels, height, width = context.shape.frame
        size = FrameSize(height=height, width=width, channels=channels, fit=options.fit)
        cache = decode_once(context.name, recordings, size, on_decoded=context.on_decoded)
        divided = _windows(cache, events["split"].tolist(), options, context)
        apart = keep_apart(divided, context.hold_out, context.name, join_val=options.val_until is None)
        windows = apart.windows
        scaling = learn_scaling(cache.statistics[:1], "unit", context.name)
        validation = f"{len(windows.val)} validation" if context.hold_out else "validation = test"
        counts = ", ".join(f"{int((events['split'] == split).sum())} {split}" for split in ("train", "val", "test"))
        return Splits(
            **windowed_splits(cache, windows, scaling),
            report=(
                f"read {cache.count} frames of {len(events)} events ({counts}){note}; "
                f"clips: {len(windows.train)} train, {validation}, {len(windows.test)} test"
            ),
            fingerprint=cache.index.source,
            scaling=scaling,
            frame_cache=cache.path,
        )


def select(path: Path, options: EventOptions, where: str) -> tuple[pd.DataFrame, str]:
    """Return the events in the order of time, with a column ``split``, and what to say of those left out.

    Kept are rows of the image type without a missing pixel; ids that then occur more than once are left out whole.

    Raises:
        UserError: the catalogue is damaged, lacks a column, or a split holds no event.
    """
    try:
        table = pd.read_csv(path, low_memory=False)
        absent = [column for column in COLUMNS if column not in table]
        if absent:
            raise UserError(f"{path} lacks the column {absent[0]!r}. Fetch it again.")
        table = table[table["img_type"] == options.kind]
        table = table.assign(time=pd.to_datetime(table["time_utc"]), file_index=table["file_index"].astype(int))
    except (OSError, ValueError, pd.errors.ParserError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read as a catalogue (cut short or damaged?): {error}.") from error
    whole = table[table["pct_missing"] == 0]
    kept = whole[~whole["id"].duplicated(keep=False)].sort_values(["time", "id"], kind="stable")
    kept = kept.assign(split=_splits_of(kept["time"], options))
    for split in ("train", "val", "test"):
        if not (kept["split"] == split).any():
            raise UserError(f"{where}: {path} holds no {split} event of {options.kind}; {len(kept)} are usable in all.")
    left = f"; left out {len(table) - len(whole)} with missing pixels, {len(whole) - len(kept)} listed more than once"
    return kept, left


def _splits_of(times: pd.Series[pd.Timestamp], options: EventOptions) -> list[str]:
    early = (times <= options.train_until).to_numpy()
    if options.val_until is not None:
        val = (times <= options.val_until).to_numpy() & ~early
    else:
        order = np.random.default_rng(VAL_SEED).permutation(np.flatnonzero(early))
        val = np.zeros(len(early), dtype=bool)
        val[order[: max(1, round(len(order) * options.val_share))]] = True
    return ["val" if held else "train" if before else "test" for held, before in zip(val, early, strict=True)]


def _find(options: EventOptions, context: DatasetContext) -> Path:
    for folder in candidate_folders(context.name, context.data_dirs, options.folders):
        if folder.is_dir() and holds_all(folder, options.files):
            return folder
    raise missing_files_error(context.name, context.data_dirs, options)


def _recording(folder: Path, row: object, options: EventOptions) -> Recording:
    """One event as a recording; the file is opened when it is decoded."""
    path, place = folder / "data" / str(row.file_name), int(row.file_index)  # type: ignore[attr-defined]
    if not path.is_file():
        raise UserError(f"{path} is missing, which the catalogue names. Get it as the others.")
    length = len(range(0, options.frames, options.step))
    height, width = _size(path, options.kind)
    return Recording(
        name=str(row.id),  # type: ignore[attr-defined]
        paths=(path,),
        length=length,
        frame=(height // options.pool, width // options.pool, 1),
        dtype=np.dtype(np.uint8),
        blocks=partial(_blocks, path, place, options),
        variant=f"{options.kind} {place} every {options.step}, blocks of {options.pool}",
    )


_SIZES: dict[tuple[str, float, str], tuple[int, int]] = {}  # a file holds hundreds of events


def _size(path: Path, kind: str) -> tuple[int, int]:
    key = (str(path), path.stat().st_mtime, kind)
    if key not in _SIZES:
        try:
            with open_h5(path) as file:
                shape = file[kind].shape
        except DAMAGE as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} cannot be read as HDF5 with {kind!r} (cut short or damaged?): {error}.") from error
        if len(shape) != 4:
            raise UserError(f"{path}: {kind!r} has shape {shape}, expected (N, H, W, T).")
        _SIZES[key] = int(shape[1]), int(shape[2])
    return _SIZES[key]


def _blocks(path: Path, place: int, options: EventOptions) -> Blocks:
    try:
        with open_h5(path) as file:
            event_HWT = file[options.kind][place]
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: event {place} cannot be read (cut short or damaged?): {error}.") from error
    if event_HWT.shape[-1] != options.frames or event_HWT.dtype != np.uint8:
        raise UserError(
            f"{path}: event {place} holds {event_HWT.dtype} of shape {event_HWT.shape}, expected uint8 with "
            f"{options.frames} frames."
        )
    frames_THW = event_HWT.transpose(2, 0, 1)[:: options.step]
    if options.pool > 1:
        time, height, width = frames_THW.shape
        side = options.pool
        cut = frames_THW[:, : height // side * side, : width // side * side]
        means = cut.reshape(time, height // side, side, width // side, side).mean(axis=(2, 4), dtype=np.float32)
        frames_THW = np.rint(means).astype(np.uint8)
    yield frames_THW[..., None]


def _windows(cache: FrameCache, splits: Sequence[str], options: EventOptions, context: DatasetContext) -> SplitWindows:
    length = context.shape.length
    rows: dict[str, list[Windows]] = {split: [np.empty((0, length), dtype=np.int64)] for split in SplitWindows._fields}
    for recording, split in zip(cache.index.recordings, splits, strict=True):
        starts = np.arange(recording.first, recording.first + recording.length - length + 1, options.stride)
        rows[split].append(starts[:, None] + np.arange(length))
    return SplitWindows(*(np.concatenate(rows[split]) for split in SplitWindows._fields))
