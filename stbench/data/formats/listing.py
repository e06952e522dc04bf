"""Which files a folder holds for a dataset. Planning and reading both ask here, so that they see the same files.

Hidden files and folders, thumbnails of file servers and results of stbench are no data. Links to folders are followed,
each folder is read once. A file that would be data and cannot be read as a file is refused by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

from stbench.errors import UserError

NO_DATA = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})  # made by archives and servers
OUTPUT_MARK = ".stbench"  # in a folder that stbench made for pictures
ANY_DEPTH = "**"
STORE = ".zarr"  # suffix of folders that hold one dataset in many files


def expanded(path: Path | str) -> Path:
    """Return a path with ``~`` replaced by the home folder.

    Raises:
        UserError: there is no such user, or the name is not valid UTF-8 and could not be written into a spec.
    """
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no user of that name. Write the path in full.") from error
    check_name(found)
    return found


def check_name(path: Path) -> None:
    """Refuse a path whose bytes are not valid UTF-8.

    Raises:
        UserError: they are not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UserError(f"{shown} is no UTF-8 name and cannot be recorded. Rename it.") from None


def files_below(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the data files below a folder that end in one of ``suffixes`` (case ignored), sorted by path.

    Raises:
        UserError: one of them is a link to nothing, a pipe or a device, or has a name that is not UTF-8; or a folder
            cannot be listed.
    """
    return sorted(_checked(path) for path in _walk(root) if path.suffix.lower() in suffixes)


def files_matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the data files below a folder whose path matches a pattern (``**/`` for any depth), sorted by path.

    Raises:
        UserError: as for :func:`files_below`.
    """
    return sorted(_checked(path) for path in _walk(root, _depth(patterns)) if _matches_any(root, path, patterns))


def holds_all(root: Path, patterns: Sequence[str]) -> bool:
    """Tell whether every pattern matches a data file below a folder; looks no further than it must."""
    missing = set(patterns)
    for path in _walk(root, _depth(patterns)):
        missing -= {pattern for pattern in missing if _matches_any(root, path, (pattern,))}
        if not missing:
            return True
    return not missing


def regular_file(path: Path) -> Path:
    """Return the path if it is a file that can be read from start to end.

    Raises:
        UserError: it is missing, a link to nothing, a pipe, a device or a folder.
    """
    return _checked(path)


def is_store(path: Path) -> bool:
    """Tell whether a folder is one dataset, a zarr store, which stands in lists as a file does."""
    return path.suffix.lower() == STORE and path.is_dir()


def is_data_file(path: Path) -> bool:
    """Tell whether a path is a file, or a folder that stands for one."""
    return path.is_file() or is_store(path)


def _walk(root: Path, depth: int | None = None) -> Iterator[Path]:
    """Yield what is no folder below ``root``: folders first, then links to folders that were not read yet."""
    seen: set[tuple[int, int]] = set()
    folders, links = [(root, 1)], list[tuple[Path, int]]()
    while folders or links:
        folder, level = folders.pop() if folders else links.pop(0)
        try:
            known = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"{folder} cannot be listed: {error.strerror or error}. Allow reading it.") from error
        if (known.st_dev, known.st_ino) in seen:
            continue
        seen.add((known.st_dev, known.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.name in NO_DATA:
                continue
            path = Path(entry.path)
            if not path.is_dir() or is_store(path):
                yield path
            elif (depth is None or level < depth) and not _is_output(path):
                (links if entry.is_symlink() else folders).append((path, level + 1))


def _is_output(folder: Path) -> bool:
    """Tell whether stbench wrote this folder: a run, what holds ``runs/``, the figures beside it, or previews."""
    beside = folder.parent if folder.name == "figures" else folder
    return any((folder / name).is_file() for name in ("spec.yaml", OUTPUT_MARK)) or any(beside.glob("runs/*/spec.yaml"))


def _checked(path: Path) -> Path:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        broken = path.is_symlink()
        what = f"links to {path.readlink()}, which is not there" if broken else f"cannot be read: {error.strerror}"
        raise UserError(f"{path} {what}. Put it right or remove it.") from error
    if not stat.S_ISREG(mode) and not is_store(path):
        raise UserError(f"{path} is no regular file (a folder, pipe or device). Remove it, or name the data files.")
    check_name(path)
    return path


def _depth(patterns: Sequence[str]) -> int | None:
    """Most folders that a pattern needs, the file included; None for any number."""
    parts = [PurePosixPath(pattern).parts for pattern in patterns]
    return None if any(ANY_DEPTH in part for part in parts) else max(map(len, parts), default=1)


def _matches_any(root: Path, path: Path, patterns: Sequence[str]) -> bool:
    parts = path.relative_to(root).parts
    return any(_matches(parts, PurePosixPath(pattern).parts) for pattern in patterns)


@cache
def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == ANY_DEPTH:
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
