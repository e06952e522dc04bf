"""Bring a benchmark's files here: from their addresses, a mirror, or a local folder.

A file is fetched under a temporary name, checked against its published hash or against what arrived at the first
download, and only then renamed; an archive is unpacked whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stbench.data.benchmarks.download_list import Download, check_hash
from stbench.data.formats.listing import expanded
from stbench.errors import UserError, counted
from stbench.fetch.archives import missing_members, unpack
from stbench.fetch.ledger import check_entry, read_ledger, record
from stbench.fetch.transfer import OnBytes, Transfer, first_that_works, is_safe, refuse_plain, remote_length
from stbench.files import file_hash
from stbench.schema.folder import write_with

ABSENT = "not there, done without it"


@dataclass(frozen=True)
class Amount:
    """What there is to download.

    Attributes:
        files: how many.
        size: bytes of those whose size is known.
        unknown: how many sizes are not known.
        space: bytes of disk that it takes, archives packed and unpacked at once.
    """

    files: int
    size: int
    unknown: int
    space: int

    def __str__(self) -> str:
        files = counted(self.files, "file")
        if not self.files:
            return "nothing to download"
        if self.unknown == self.files:
            return f"{files} of unknown size"
        return f"{files}, {readable(self.size)}" + (f" and {self.unknown} of unknown size" if self.unknown else "")


def readable(size: int) -> str:
    """Bytes in the unit that fits.

    >>> readable(321), readable(30_100_000_000)
    ('321 bytes', '30.1 GB')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def amount(downloads: Sequence[Download], target: Path, origin: str | None) -> Amount:
    """Ask the servers how much there is to download; nothing is fetched, and what is here already does not count."""
    missing = [item for item in downloads if "*" not in item.file and not is_here(item, target)]
    sizes = [_size(item, origin) for item in missing]
    known = [size for size in sizes if size is not None]
    space = sum(size * (1 if item.unpack is None else 2) for item, size in zip(missing, sizes, strict=True) if size)
    return Amount(len(missing), sum(known), len(sizes) - len(known), space)


def check_space(needed: Amount, target: Path) -> None:
    """Refuse a download that the disk has no room for.

    Raises:
        UserError: the disk has less than that left.
    """
    free = shutil.disk_usage(next(folder for folder in (target, *target.parents) if folder.is_dir())).free
    if needed.space > free:
        raise UserError(
            f"The disk of {target} has {readable(free)} left and {readable(needed.space)} are needed. Free space, or "
            "name another folder with --data-dir."
        )


def is_here(item: Download, target: Path) -> bool:
    """Tell whether a file, or all that its archive held, is in the folder."""
    if item.unpack is None:
        return (target / item.file).is_file()
    lost = missing_members(target, item.file)
    if lost is not None:
        return not lost
    return not (target / item.file).is_file() and next(target.rglob(item.unpack), None) is not None


def fetch(
    downloads: Sequence[Download],
    target: Path,
    origin: str | None,
    on_bytes: OnBytes,
    *,
    allow_http: bool = False,
) -> list[str]:
    """Bring every file to ``target``; return a line for each on what was done.

    Args:
        downloads: what to fetch; none that a table still has to name.
        target: the folder they go to.
        origin: a local folder (searched in any depth) or the address of a mirror, instead of the pinned addresses.
        on_bytes: called with a file's name, its bytes so far, and its bytes in all (None if unknown).
        allow_http: accept plain http for files whose hash nobody published.

    Raises:
        UserError: no connection, a file that is not there, another hash, an unsafe archive, or a folder that cannot be
            written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            lines = [f"{item.file}: {_fetch_one(item, target, origin, on_bytes, allow_http)}" for item in downloads]
    except OSError as error:
        raise UserError(
            f"Cannot write to {target}: {error.strerror or error}. Free space, or name another folder with --data-dir."
        ) from error
    if lines and is_folder(origin) and all(line.endswith(ABSENT) for line in lines):
        names = ", ".join(item.file for item in downloads)
        raise UserError(f"--from {origin}: nothing of {names} is there.")
    return lines


def is_folder(origin: str | None) -> bool:
    """Tell whether files come from a local folder, not from the network."""
    return origin is not None and not urlsplit(origin).scheme.startswith("http")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other commands from fetching into the same folder meanwhile; they wait."""
    handle = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _size(item: Download, origin: str | None) -> int | None:
    addresses = _addresses(item, origin) if not is_folder(origin) else ()
    found = (remote_length(url) for url in addresses)
    return next((length for length in found if length is not None), item.size)


def _addresses(item: Download, origin: str | None) -> tuple[str, ...]:
    return item.urls if origin is None else (f"{origin.rstrip('/')}/{item.file}",)


def _fetch_one(item: Download, target: Path, origin: str | None, on_bytes: OnBytes, allow_http: bool) -> str:
    path = target / item.file
    if "*" in item.file:
        return _copy_matching(item, target, origin)
    if item.unpack is not None and is_here(item, target):
        path.unlink(missing_ok=True)  # left by a command that was stopped after unpacking
        return "already there"
    if path.is_file():
        check_file(item, path, target)
    elif is_folder(origin):
        if not _copy(item, expanded(str(origin)), path, target):
            return ABSENT
    else:
        try:
            _download(item, _addresses(item, origin), path, target, on_bytes, allow_http)
        except UserError as error:
            if not item.optional:
                raise
            return f"{error} ({ABSENT})"
    if item.unpack is None:
        return "there, hash checked" if item.hashes else "there, no hash is known: its SHA-256 is recorded"
    unpack(path, target)
    return "unpacked"


def check_file(item: Download, path: Path, target: Path) -> None:
    """Compare a file that is here with its published hash and with what arrived first.

    Raises:
        UserError: it is another one.
    """
    check_hash(path, item)
    entry = read_ledger(target).get(item.file)
    if entry is not None:
        check_entry(entry, file_hash(path), path, target)


def _download(
    item: Download, urls: Sequence[str], path: Path, target: Path, on_bytes: OnBytes, allow_http: bool
) -> None:
    if not urls:
        raise UserError(
            f"{item.file} has no direct link. Fetch it by hand ('stbench data info') and use --from FOLDER."
        )
    vouched = bool(item.hashes) or allow_http

    def attempt(url: str) -> None:
        if not (vouched or is_safe(url)):
            raise refuse_plain(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        transfer = Transfer(url, path, vouched, on_bytes)
        arrived = transfer.run()
        try:
            check_hash(arrived, item)
            record(target, item.file, arrived, url)
        except UserError as error:
            transfer.discard()
            raise UserError(f"{url} gave another file than expected: {error} Or use --from FOLDER.") from error
        transfer.finish()

    try:
        first_that_works(urls, attempt)
    except UserError as error:
        if not item.help:
            raise
        raise UserError(f"{error}\n{item.help}") from error


def _copy(item: Download, folder: Path, path: Path, target: Path) -> bool:
    found = next((place for place in sorted(folder.rglob(item.file)) if place.is_file()), None)
    if found is None and item.optional:
        return False
    if found is None:
        raise UserError(f"--from {folder}: {item.file} is not there.")
    check_hash(found, item)
    record(target, item.file, found, "a folder")
    _copy_whole(found, path)
    return True


def _copy_whole(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, lambda temporary: shutil.copyfile(source, temporary))


def _copy_matching(item: Download, target: Path, origin: str | None) -> str:
    """Copy what matches and is not there in this size yet, each file to its place below the origin."""
    if not is_folder(origin):
        raise UserError(f"{item.file} stands for a folder tree, which comes from a folder only. Use --from FOLDER.")
    folder = expanded(str(origin))
    found = [path for path in sorted(folder.glob(item.file)) if path.is_file()]
    if not found and not item.optional:
        raise UserError(f"--from {folder}: {item.file} is not there.")
    for source in found:
        path = target / source.relative_to(folder)
        if not path.is_file() or path.stat().st_size != source.stat().st_size:
            _copy_whole(source, path)
    return f"{len(found)} files there, no hash is known" if found else ABSENT
