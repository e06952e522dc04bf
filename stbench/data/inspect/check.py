"""Look a dataset over: files and hashes, shapes, values, dates, counts, and whether any frame is in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from stbench.data.benchmarks.downloads import Download, check_hash
from stbench.data.benchmarks.folders import candidate_folders
from stbench.data.dataset import Dataset, Split
from stbench.data.inspect.leaks import frame_contents, shared_clips
from stbench.data.loader import evenly_spaced
from stbench.data.splits.windowed_split import StoredSplit
from stbench.errors import UserError
from stbench.schema import Benchmark

SAMPLE = 256  # clips of a split whose values and frames are looked at where windows are not numbered


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is in order, and what was seen."""

    what: str
    good: bool
    seen: str


def check_files(name: str, dirs: Sequence[Path], also: Sequence[str], downloads: Sequence[Download]) -> list[Finding]:
    """Whether the files that are there have the hash they should."""
    found = []
    for item in downloads:
        if "*" in item.file:
            continue  # a tree without hashes: what it holds is looked at when it is read
        paths = (folder / item.file for folder in candidate_folders(name, dirs, also))
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            if item.unpack is None:
                found.append(Finding(item.file, item.optional, "not there" + " (optional)" * item.optional))
            continue
        try:
            check_hash(path, item)
            found.append(Finding(item.file, True, "hash fits" if item.hashes else "there (no hash is known)"))
        except UserError as error:
            found.append(Finding(item.file, False, str(error)))
    return found


def check_dataset(dataset: Dataset, benchmark: Benchmark) -> list[Finding]:
    """Counts, shapes, value range, dates and leakage of a dataset that could be opened."""
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    findings = [Finding("read", True, dataset.report)]
    for name, split in splits.items():
        clips = split.clips(evenly_spaced(len(split), SAMPLE // 4), 0)
        finite = bool(clips.isfinite().all())
        physical = dataset.to_physical(clips)
        text = (
            f"{len(split)} clips (T, C, H, W) = {tuple(clips.shape[1:])}, values {physical.min():.5g} to "
            f"{physical.max():.5g} {benchmark.units}, model space {clips.min():.4g} to {clips.max():.4g}"
        )
        findings.append(Finding(name, finite, text + ("" if finite else "; NaN or infinity")))
        dates = _dates(split)
        if dates:
            findings.append(Finding(f"{name} dates", True, dates))
    pairs = [pair for pair in combinations(splits, 2) if _apart(pair, dataset)]
    return findings + [_leakage(pair, splits) for pair in pairs] + _copies(pairs, splits)


def _apart(pair: tuple[str, str], dataset: Dataset) -> bool:
    return dataset.context.hold_out or pair == ("train", "test")


def _dates(split: Split) -> str:
    times = split.times(np.array([0, len(split) - 1]))
    if times is None:
        return ""
    first, last = (np.datetime64(int(minute), "m") for minute in (times.min(), times.max()))
    return f"{first} to {last}"


def _leakage(pair: tuple[str, str], splits: dict[str, Split]) -> Finding:
    """Whether two splits share a frame: by number where windows are numbered, else by the content of a sample."""
    first, second = (getattr(splits[name], "windows_NT", None) for name in pair)
    what = f"{pair[0]} and {pair[1]}"
    if first is not None and second is not None:
        shared = len(np.intersect1d(first, second))
        return Finding(what, not shared, f"{shared} frames in both" if shared else "no frame in both")
    known, other = (_contents(splits[name]) for name in pair)
    shared = len(known & other)
    return Finding(
        what, not shared, f"{shared} frames in both" if shared else f"no frame in both ({SAMPLE} clips each)"
    )


def _copies(pairs: Sequence[tuple[str, str]], splits: dict[str, Split]) -> list[Finding]:
    """Whether clips of two splits have the same content, as where a file was copied; only of prepared frames."""
    stored = {name: split for name, split in splits.items() if isinstance(split, StoredSplit)}
    if not stored:
        return []
    contents_F = frame_contents(next(iter(stored.values())).prepared.frames)
    findings = []
    for name, other in pairs:
        clips_NT = stored[other].windows_NT
        shared = shared_clips(contents_F, stored[name].windows_NT, clips_NT)
        seen = f"{shared} of the {len(clips_NT)} clips of {other} have a copy in {name}"
        findings.append(Finding(f"{name} and {other} by content", not shared, seen))
    return findings


def _contents(split: Split) -> set[bytes]:
    clips = split.clips(evenly_spaced(len(split), SAMPLE), 0).numpy()
    frames = clips.reshape(-1, *clips.shape[2:])
    return {hashlib.blake2b(frame.tobytes(), digest_size=16).digest() for frame in frames if frame.any()}
