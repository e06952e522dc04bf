"""Writes that a kill cannot tear, and locks that a kill releases."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system without locks answers."""
_HELD: set[IO[Any]] = set()


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to the disk, then rename it into place.

    Temporary files of the same target that a killed process left behind are removed.
    """
    _remove_orphans(path)
    temporary, mark = _new_temporary(path)
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        mark.close()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_with(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Hold a lock file for this process alone; yields False when somebody else holds it. A kill releases it.

    Processes forked while it is held (loader workers) close their copy at once: one that outlives a kill holds nothing.

    Raises:
        OSError: the file cannot be made, or the file system has no locks.
    """
    handle = _open_locked(file)
    if handle is None:
        yield False
        return
    _HELD.add(handle)
    try:
        yield True
    finally:
        _HELD.discard(handle)
        handle.close()


def _open_locked(file: Path) -> IO[Any] | None:
    """The locked file; None when another process has it. Where it was moved away meanwhile, the new one is tried."""
    while True:
        handle = file.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, file):
                return handle
        except BlockingIOError:
            handle.close()
            return None
        except BaseException:
            handle.close()
            raise
        handle.close()


def _is_at(handle: IO[Any], file: Path) -> bool:
    """Whether an open file is the one that its path names now."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    for handle in _HELD:
        with suppress(OSError):
            handle.close()
    _HELD.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _new_temporary(path: Path) -> tuple[Path, IO[Any]]:
    """A temporary file beside ``path`` and its lock, by which other processes see that it is no orphan."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            handle = _open_locked(temporary)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            handle = temporary.open("a")  # nobody can look for orphans there either
        if handle is not None:
            return temporary, handle


def _remove_orphans(path: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    with os.scandir(path.parent) as entries:
        found = [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    for orphan in found:
        with suppress(OSError), orphan.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            orphan.unlink()
