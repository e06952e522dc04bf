"""Checks behind ``stbench data check``: files and hashes, shapes, values, dates, counts, leaks between splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stbench.data.benchmarks.download_list import Download
from stbench.data.benchmarks.downloads import check_file
from stbench.data.benchmarks.folders import candidate_folders
from stbench.data.dataset import Split, Splits
from stbench.data.formats.timestamps import date_text
from stbench.data.frame_cache.cache import FrameCache
from stbench.data.inspect.leaks import frame_contents, shared_clips
from stbench.data.loader import evenly_spaced
from stbench.data.splits.windowed_split import WindowedSplit
from stbench.errors import UserError
from stbench.fetch.archives import contents_file, missing_members
from stbench.fetch.ledger import read_ledger
from stbench.schema import Benchmark

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 256  # clips per split that are examined if windows are not numbered


@dataclass(frozen=True)
class Observation:
    """One check: whether it passed, and what was seen."""

    what: str
    good: bool
    seen: str


def check_files(
    name: str, dirs: Sequence[Path], also: Sequence[str], downloads: Sequence[Download]
) -> list[Observation]:
    """Compare the hashes of the files present with the expected ones."""
    found = []
    for folder in (folder for folder in candidate_folders(name, dirs, also) if folder.is_dir()):
        found += [
            _archive(item, folder) for item in downloads if item.unpack and contents_file(folder, item.file).is_file()
        ]
    for item in downloads:
        if "*" in item.file or item.listed is not None:
            continue  # a folder without hashes: reading checks its content
        folders = candidate_folders(name, dirs, also)
        place = next((folder for folder in folders if (folder / item.file).is_file()), None)
        if place is None:
            if item.unpack is None and item.source is None:
                found.append(Observation(item.file, item.optional, "not there" + " (optional)" * item.optional))
            continue
        try:
            check_file(item, place / item.file, place)
            known = "hash fits" if item.hashes else "as first downloaded" if item.file in read_ledger(place) else ""
            found.append(Observation(item.file, True, known or "there (no hash is known)"))
        except UserError as error:
            found.append(Observation(item.file, False, str(error)))
    return found


def _archive(item: Download, folder: Path) -> Observation:
    """Check whether all files of an unpacked archive are still there."""
    lost = missing_members(folder, item.file) or []
    several = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    seen = f"{lost[0]}{several} gone or of another size since it was unpacked. Get it again" if lost else "all there"
    return Observation(f"content of {item.file}", not lost, seen)


def check_splits(dataset: Splits, benchmark: Benchmark, hold_out: bool) -> list[Observation]:
    """Check counts, shapes, value range, dates and leaks of an opened dataset.

    ``hold_out`` False means that the test split is used as validation.
    """
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    observed = [Observation("read", True, dataset.report)]
    observed += [Observation(name, True, text) for name, text in dataset.understood]
    observed += _cached(dataset)
    for name, split in splits.items():
        clips = split.clips(evenly_spaced(len(split), SAMPLE // 4), 0)
        observed.append(_values(name, split, clips, dataset, benchmark.units))
        dates = _dates(split, dataset.calendar)
        if dates:
            observed.append(Observation(f"{name} dates", True, dates))
    pairs = [pair for pair in combinations(splits, 2) if hold_out or pair == ("train", "test")]
    return observed + [_leakage(pair, splits) for pair in pairs] + _copies(pairs, splits)


def _values(name: str, split: Split, clips: Tensor, dataset: Splits, units: str) -> Observation:
    """Check whether values are finite, or missing where the data may lack some, and say their range."""
    head = f"{len(split)} clips (T, C, H, W) = {tuple(clips.shape[1:])}"
    missing = clips.isnan()
    share = float(missing.double().mean()) if dataset.incomplete else 0.0
    if share == 1:
        return Observation(name, False, f"{head}; all values are missing")
    physical, known = (x[~missing] if share else x for x in (dataset.to_physical(clips), clips))
    finite = bool(known.isfinite().all())
    text = (
        f"{head}, values {physical.min():.5g} to {physical.max():.5g} {units}, model space {known.min():.4g} to "
        f"{known.max():.4g}"
    )
    text += f"; {100 * share:.3g} % of the values are missing" if share else ""
    return Observation(name, finite, text + ("" if finite else "; NaN or infinity"))


def _cached(dataset: Splits) -> list[Observation]:
    """Check the frame cache against the checksums of decoding."""
    if dataset.frame_cache is None:
        return []
    bad = FrameCache(dataset.frame_cache).damaged()
    seen = "as decoded" if bad is None else f"{bad} is damaged. Remove {dataset.frame_cache} and run again"
    return [Observation("frame cache", bad is None, seen)]


def _dates(split: Split, calendar: str) -> str:
    times = split.times(np.array([0, len(split) - 1]))
    if times is None:
        return ""
    return f"{date_text(float(times.min()), calendar)} to {date_text(float(times.max()), calendar)}"


def _leakage(pair: tuple[str, str], splits: dict[str, Split]) -> Observation:
    """Check whether two splits share a frame: by number if windows are numbered, else by content of a sample."""
    first, second = (getattr(splits[name], "windows_NT", None) for name in pair)
    what = f"{pair[0]} and {pair[1]}"
    if first is not None and second is not None:
        shared = len(np.intersect1d(first, second))
        return Observation(what, not shared, f"{shared} frames in both" if shared else "no frame in both")
    known, other = (_contents(splits[name]) for name in pair)
    shared = len(known & other)
    return Observation(
        what, not shared, f"{shared} frames in both" if shared else f"no frame in both ({SAMPLE} clips each)"
    )


def _copies(pairs: Sequence[tuple[str, str]], splits: dict[str, Split]) -> list[Observation]:
    """Check whether clips of two splits have equal content, for example from a copied file; cached frames only."""
    windowed = {name: split for name, split in splits.items() if isinstance(split, WindowedSplit)}
    if not windowed:
        return []
    contents_F = frame_contents(next(iter(windowed.values())).stored.frames)
    observed = []
    for name, other in pairs:
        clips_NT = windowed[other].windows_NT
        shared = shared_clips(contents_F, windowed[name].windows_NT, clips_NT)
        seen = f"{shared} of the {len(clips_NT)} clips of {other} have a copy in {name}"
        observed.append(Observation(f"{name} and {other} by content", not shared, seen))
    return observed


def _contents(split: Split) -> set[bytes]:
    clips = split.clips(evenly_spaced(len(split), SAMPLE), 0).numpy()
    frames = clips.reshape(-1, *clips.shape[2:])
    return {hashlib.blake2b(frame.tobytes(), digest_size=16).digest() for frame in frames if frame.any()}
