"""Decode recordings once into the frame cache (:mod:`stbench.data.frame_cache.cache`).

Frames are written to ``<key>.partial`` under a lock, with a journal of what is safely on disk; a rename ends the work.
A second process waits for the result. After a kill, decoding continues where the journal ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stbench.data.formats.recording import NO_TIME, Recording
from stbench.data.frame_cache.cache import (
    CACHE_VARIABLE,
    FRAMES,
    INDEX,
    SECONDS,
    STATISTICS,
    CachedRecording,
    FrameCache,
    Index,
    cache_dir,
    is_intact,
)
from stbench.data.frame_cache.content import content_hash, stamp
from stbench.data.frame_cache.missing import Fill, filled_in, refused
from stbench.data.frame_cache.resize import FrameSize, fit_frames
from stbench.data.frame_cache.statistics import frame_statistics
from stbench.errors import UserError
from stbench.schema.folder import write_text

FORMAT = 4
JOURNAL = "journal.jsonl"
FLUSH_BYTES = 32 << 20
KEY_LENGTH = 16

Keep = Callable[[Recording], slice]
OnDecoded = Callable[[int, int], None]


def everything(recording: Recording) -> slice:
    """Keep every frame."""
    return slice(recording.length)


def decode_once(
    name: str,
    recordings: Sequence[Recording],
    size: FrameSize,
    *,
    keep: Keep = everything,
    fill: Fill = None,
    on_decoded: OnDecoded = lambda _done, _total: None,
) -> FrameCache:
    """Return the decoded frames of these recordings; decode them unless they are in the cache.

    Args:
        name: first part of the cache folder's name.
        recordings: what to decode.
        size: size and channels that frames are converted to.
        keep: which frames of a recording are kept, for example every third.
        fill: value that replaces missing values; "leave" keeps them as NaN, None rejects data with missing values.
        on_decoded: called with the number of recordings decoded so far and in all.

    Raises:
        UserError: a file is damaged or lacks values, the disk is full, or the cache folder cannot be written.
    """
    sources = _sources(recordings)
    try:
        before, source = stamp(sources), content_hash(sources)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror or error}. Fetch it again.") from error
    folder = cache_dir() / f"{name}-{_key(source, recordings, size, keep, fill)}"
    if (folder / INDEX).is_file():
        return _checked(FrameCache(folder), recordings, size, fill)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(_beside(folder, "lock")):
            if not (folder / INDEX).is_file():
                work = _Work(_beside(folder, "partial"), recordings, size, keep, fill, on_decoded)
                work.decode()
                if stamp(sources) != before:
                    raise UserError(f"{name}: data files changed while they were read. Run the command again.")
                work.finish(folder, source)
    except OSError as error:
        raise _explained(error, folder) from error
    return _checked(FrameCache(folder), recordings, size, fill)


def _checked(cache: FrameCache, recordings: Sequence[Recording], size: FrameSize, fill: Fill) -> FrameCache:
    """Return the cache unless it lacks values that must be there; complete frames are the same under both rules."""
    if fill is None:
        for recording, cached in zip(recordings, cache.index.recordings, strict=True):
            if cached.missing:
                raise refused(recording, size)
    return cache


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _key(source: str, recordings: Sequence[Recording], size: FrameSize, keep: Keep, fill: Fill) -> str:
    """Return a key of everything that decides the frames: the files' content and sizes, and the options."""
    said = None if fill == "leave" else fill
    digest = hashlib.sha256(f"{FORMAT} {size.model_dump_json()} {said} {source}".encode())
    for path in _sources(recordings):
        digest.update(f"{path.stat().st_size}\n".encode())
    for recording in recordings:
        digest.update(f"{recording.name} {recording.length} {recording.frame} {keep(recording)}\n".encode())
        digest.update(recording.variant.encode())
    return digest.hexdigest()[:KEY_LENGTH]


def _sources(recordings: Sequence[Recording]) -> list[Path]:
    return list(dict.fromkeys(path for recording in recordings for path in recording.paths))


def _explained(error: OSError, folder: Path) -> UserError:
    elsewhere = f"or set ${CACHE_VARIABLE} to another folder. What is done so far is kept."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"The disk is full while frames are decoded into {folder}. Free some space there, {elsewhere}")
    return UserError(f"Cannot decode frames into {folder}: {error.strerror or error}. Allow writing there, {elsewhere}")


class _Work:
    """The decoding of the recordings that the journal does not list yet."""

    def __init__(
        self,
        folder: Path,
        recordings: Sequence[Recording],
        size: FrameSize,
        keep: Keep,
        fill: Fill,
        on_decoded: OnDecoded,
    ) -> None:
        self.folder = folder
        self.recordings = recordings
        self.size = size
        self.keep = keep
        self.fill = fill
        self.on_decoded = on_decoded
        self.dtype = np.result_type(*{recording.dtype for recording in recordings})
        folder.mkdir(exist_ok=True)
        self.done = self._journal()

    def decode(self) -> None:
        """Write the frames of every recording to the files of the folder."""
        self._check_room()
        with ExitStack() as stack:
            files = {
                name: stack.enter_context((self.folder / name).open("r+b" if self.done else "wb"))
                for name in (FRAMES, STATISTICS, SECONDS)
            }
            self._rewind(files)
            self._decode(files)

    def finish(self, target: Path, source: str) -> None:
        """Write the index and rename the folder; ``source`` is the hash of the files' content."""
        index = Index(
            format=FORMAT,
            dtype=str(self.dtype),
            frame=(self.size.channels, self.size.height, self.size.width),
            recordings=tuple(self.done),
            source=source,
            files=len(_sources(self.recordings)),
        )
        write_text(self.folder / INDEX, index.model_dump_json())
        (self.folder / JOURNAL).unlink()
        if target.exists():
            shutil.rmtree(target)
        self.folder.rename(target)

    def _journal(self) -> list[CachedRecording]:
        """Return the recordings that are complete on disk, up to the first torn line or damaged recording."""
        path = self.folder / JOURNAL
        if not path.is_file() or not all((self.folder / name).is_file() for name in (FRAMES, STATISTICS, SECONDS)):
            return []
        done: list[CachedRecording] = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                known = CachedRecording.parse(json.loads(line), str(path))
            except ValueError:
                break
            first = sum(cached.length for cached in done)
            named = len(done) < len(self.recordings) and known.name == self.recordings[len(done)].name
            if not named or known.first != first or not is_intact(self.folder, known, self._bytes_per_frame()):
                break
            done.append(known)
        write_text(path, "".join(cached.model_dump_json() + "\n" for cached in done))
        return done

    def _rewind(self, files: dict[str, BinaryIO]) -> None:
        frames = sum(cached.length for cached in self.done)
        for name, size in self._bytes_per_frame().items():
            files[name].truncate(frames * size)
            files[name].seek(0, os.SEEK_END)

    def _bytes_per_frame(self) -> dict[str, int]:
        pixels = self.size.channels * self.size.height * self.size.width
        return {FRAMES: pixels * self.dtype.itemsize, STATISTICS: self.size.channels * 4 * 8, SECONDS: 8}

    def _check_room(self) -> None:
        """Raise before decoding if the disk cannot hold the frames."""
        left = sum(len(range(r.length)[self.keep(r)]) for r in self.recordings[len(self.done) :])
        needed, free = left * sum(self._bytes_per_frame().values()), shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"The decoded frames take {needed / 1e9:.1f} GB, and {self.folder} has {free / 1e9:.1f} GB free. Free "
                f"space there, set ${CACHE_VARIABLE} to another folder, or give a smaller --size."
            )

    def _decode(self, files: dict[str, BinaryIO]) -> None:
        pending: list[CachedRecording] = []
        first, flushed = sum(cached.length for cached in self.done), files[FRAMES].tell()
        for number, recording in enumerate(self.recordings[len(self.done) :], len(self.done)):
            pending.append(self._decode_one(recording, first, files))
            first += pending[-1].length
            if files[FRAMES].tell() - flushed >= FLUSH_BYTES or number + 1 == len(self.recordings):
                self._record(pending, files)
                pending, flushed = [], files[FRAMES].tell()
            self.on_decoded(number + 1, len(self.recordings))

    def _decode_one(self, recording: Recording, first: int, files: dict[str, BinaryIO]) -> CachedRecording:
        kept = self.keep(recording)
        start, stop, step = kept.start or 0, kept.stop, kept.step or 1
        position = length = filled = 0
        sums = dict.fromkeys(files, 0)
        for block in recording.blocks():
            where = np.arange(position, position + len(block))
            chosen = (where >= start) & (where < stop) & ((where - start) % step == 0)
            position += len(block)
            if not chosen.any():
                continue
            whole, missing = filled_in(block[chosen], self.size, recording, self.fill)
            filled += missing
            frames = fit_frames(whole, self.size).astype(self.dtype, copy=False)
            seconds = np.full(len(frames), NO_TIME) if recording.seconds is None else recording.seconds[where[chosen]]
            parts = (frames, frame_statistics(frames), seconds.astype(np.float64))
            for (name, file), part in zip(files.items(), parts, strict=True):
                file.write(part.tobytes())
                sums[name] = zlib.crc32(part.tobytes(), sums[name])
            length += len(frames)
        return CachedRecording(
            name=recording.name,
            first=first,
            length=length,
            calendar=recording.calendar,
            filled=0 if self.fill == "leave" else filled,
            missing=filled if self.fill == "leave" else 0,
            sums=tuple(sums.values()),
        )

    def _record(self, pending: list[CachedRecording], files: dict[str, BinaryIO]) -> None:
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.writelines(cached.model_dump_json() + "\n" for cached in pending)
            journal.flush()
            os.fsync(journal.fileno())
        self.done += pending
