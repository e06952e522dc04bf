"""Unpacking of zip and tar archives: complete or not at all, and never outside the folder.

Members are checked before anything is written, unpacked into a folder with an unpredictable name, and moved into place
when complete. The list of members is stored, so that a later check finds missing files.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from stbench.errors import UserError
from stbench.schema.folder import write_text

CHUNK = 1 << 20
MOST_MEMBERS = 5_000_000
LARGEST_RATIO = 100  # bytes unpacked per byte of archive; pictures and arrays stay far below
SMALL = 64 << 20  # archives may grow to this size whatever their ratio
CONTENTS = ".{name}.contents"
ZIP_MAGIC = b"PK"
IN_THE_WAY = (FileExistsError, NotADirectoryError, IsADirectoryError)  # for members that are both file and folder
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Member:
    """A file of an archive: its path below the target folder, and its size in bytes."""

    path: str
    size: int


class _Archive(Protocol):
    """Common interface of zip and tar archives."""

    def members(self) -> Iterator[Member]:
        """The files.

        Raises:
            UserError: a member is a link, a device, or lies outside.
        """

    def open(self, member: Member) -> IO[bytes]:
        """Open a file for reading."""


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file
        self.infos: dict[str, zipfile.ZipInfo] = {}

    def members(self) -> Iterator[Member]:
        for info in self.file.infolist():
            name = info.orig_filename  # as stored: zipfile itself cuts names at NUL
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                inside(name.rstrip("/"))
                continue
            if kind not in (0, stat.S_IFREG):
                raise UserError(f"{name!r} is a link or a device, no file.")
            self.infos[inside(name)] = info
            yield Member(inside(name), info.file_size)

    def open(self, member: Member) -> IO[bytes]:
        return self.file.open(self.infos[member.path])


class _Tar:
    def __init__(self, file: tarfile.TarFile) -> None:
        self.file = file
        self.infos: dict[str, tarfile.TarInfo] = {}

    def members(self) -> Iterator[Member]:
        for info in self.file:
            if info.isdir():
                inside(info.name.rstrip("/"))
                continue
            if not info.isreg():
                raise UserError(f"{info.name!r} is a link or a device, no file.")
            self.infos[inside(info.name)] = info
            yield Member(inside(info.name), info.size)
        assert self.file.fileobj is not None  # open for reading
        self.file.fileobj.seek(self.file.offset)
        if self.file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError("its end is missing.")  # tarfile takes an archive cut between two members for whole

    def open(self, member: Member) -> IO[bytes]:
        opened = self.file.extractfile(self.infos[member.path])
        assert opened is not None  # a regular file
        return opened


def inside(name: str) -> str:
    """Return a member's path below the folder it is unpacked to, ``./`` left out.

    Raises:
        UserError: it is absolute, climbs out, or is no portable path.
    """
    parts = PurePosixPath(name).parts
    drive = bool(parts) and len(parts[0]) > 1 and parts[0][1] == ":"
    if not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or drive:
        raise UserError(f"{name!r} lies outside the folder.")
    return PurePosixPath(*parts).as_posix()


def unpack(path: Path, target: Path) -> int:
    """Unpack an archive into a folder, record what it held, remove it; return the number of its files.

    Raises:
        UserError: it is no zip or tar, is damaged, holds a path outside, a link or a device, is a decompression bomb,
            or does not fit the disk. Nothing of it is then in the folder, and the archive stays.
    """
    with _workplace(target) as made:
        try:
            with _opened(path) as archive:
                members = _checked(path, target, list(archive.members()))
                for member in members:
                    _write(archive, member, made / member.path)
        except UserError as error:
            raise UserError(f"{path} is not unpacked: {error} Remove it and fetch it again.") from error
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, IN_THE_WAY):
                raise  # of the disk, not of the archive
            raise UserError(
                f"{path} is no zip or tar (cut short or damaged?): {error}. Remove it and fetch it again."
            ) from error
        _merge(made, target)
    lines = "".join(f"{member.size}\t{member.path}\n" for member in members)
    write_text(contents_file(target, path.name), lines)
    path.unlink()
    return len(members)


def contents_file(target: Path, archive: str) -> Path:
    """The file that lists what an archive held."""
    return target / CONTENTS.format(name=archive)


def missing_members(target: Path, archive: str) -> list[str] | None:
    """Return the files of an archive that are gone or of another size; None if it was not unpacked by stbench."""
    record = contents_file(target, archive)
    if not record.is_file():
        return None
    lost = []
    for line in record.read_text(encoding="utf-8").splitlines():
        size, _, name = line.partition("\t")
        try:
            whole = (target / name).stat().st_size == int(size)
        except OSError:
            whole = False
        if not whole:
            lost.append(name)
    return lost


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A new folder below the target, gone afterwards; what a killed command left of one is removed first."""
    for left in target.glob(".unpacking-*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with path.open("rb") as stream:
        begins = stream.read(2)
    if begins == ZIP_MAGIC:  # by its beginning: a tar may end in a zip
        with zipfile.ZipFile(path) as file:
            yield _Zip(file)
    else:
        with tarfile.open(path, "r:*") as file:
            yield _Tar(file)


def _checked(path: Path, target: Path, members: list[Member]) -> list[Member]:
    """Refuse bombs and what does not fit the disk; the last member of a name counts.

    Raises:
        UserError: as said.
    """
    found = list({member.path: member for member in members}.values())
    total, packed = sum(member.size for member in found), path.stat().st_size
    if len(members) > MOST_MEMBERS or total > max(SMALL, LARGEST_RATIO * packed):
        raise UserError(f"{len(members)} files of {total} bytes in {packed} bytes look like a decompression bomb.")
    free = shutil.disk_usage(target).free
    if total > free:
        raise UserError(f"it takes {total} bytes and the disk has {free} left.")
    return found


def _write(archive: _Archive, member: Member, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with archive.open(member) as source, place.open("xb") as file:
        while chunk := source.read(CHUNK):
            done += len(chunk)
            if done > member.size:
                raise UserError(f"{member.path!r} holds more than it says.")
            file.write(chunk)
    if done != member.size:
        raise UserError(f"{member.path!r} holds {done} of {member.size} bytes.")


def _merge(made: Path, target: Path) -> None:
    """Move everything to its place; folders that are there already are added to."""
    for entry in sorted(made.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _merge(entry, place)
        else:
            entry.replace(place)
