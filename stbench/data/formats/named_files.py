"""The files of a dataset written down in a run's spec, so that exactly they are read.

A name that differs from the one before it only by a number goes into one entry with it:
``["frame", 0, 119, 1, 3, ".png"]`` stands for frame000.png to frame119.png, every one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from stbench.data.formats.listing import regular_file
from stbench.data.formats.recording import natural
from stbench.errors import UserError
from stbench.schema import Record

NumberedNames = tuple[str, int, int, int, int, str]
"""Text before the number, first and last number, step, least number of digits, text after it."""

MOST_ENTRIES = 1000  # a spec stays small; beyond, a hash of the names stands for them
LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)


class NamedFiles(Record):
    """Files below a folder.

    Attributes:
        count: how many they are.
        names: their paths relative to the folder; empty where they are too many to write down.
        sha256: hash of the names, where they are too many.
    """

    count: int
    names: tuple[str | NumberedNames, ...] = ()
    sha256: str | None = None


def write_down(root: Path, paths: Sequence[Path]) -> NamedFiles:
    """Write down files by their paths below ``root``."""
    names = sorted((path.relative_to(root).as_posix() for path in paths), key=natural)
    entries = _joined(names)
    if len(entries) <= MOST_ENTRIES:
        return NamedFiles(count=len(names), names=tuple(entries))
    return NamedFiles(count=len(names), sha256=_hash(names))


def look_up(files: NamedFiles, root: Path, found: Sequence[Path] | None) -> list[Path]:
    """Return the files that were written down, in the order in which they were.

    Args:
        files: what was written down.
        root: the folder they are below.
        found: what the folder holds now; needed where only a hash of the names was written down.

    Raises:
        UserError: some are gone, or the folder holds others and the names were too many to write down.
    """
    if files.sha256 is None:
        paths = [root / name for name in every_name(files)]
        gone = [path for path in paths if not path.exists()]
        if gone:
            listing = ", ".join(str(path) for path in gone[:3]) + (" …" if len(gone) > 3 else "")
            raise UserError(
                f"{len(gone)} of the {files.count} data files are gone: {listing}. Put them back, or name the folder "
                "that holds them with --data-dir."
            )
        return [regular_file(path) for path in paths]
    held = list(found or ())
    if _hash(sorted((path.relative_to(root).as_posix() for path in held), key=natural)) != files.sha256:
        raise UserError(
            f"{root} held {files.count} data files when the run was planned and holds others now ({len(held)}). "
            "Put them back as they were, or run anew in another --out."
        )
    return held


def every_name(files: NamedFiles) -> list[str]:
    """Return the names that were written down.

    >>> every_name(NamedFiles(count=3, names=("a.npy", ("f", 9, 10, 1, 1, ".png"))))
    ['a.npy', 'f9.png', 'f10.png']
    """
    names: list[str] = []
    for entry in files.names:
        if isinstance(entry, str):
            names.append(entry)
            continue
        before, first, last, step, digits, after = entry
        if step < 1 or last - first > files.count * step:
            raise UserError(f"The list of data files in the spec is damaged at {entry}.")
        names += [f"{before}{number:0{digits}d}{after}" for number in range(first, last + 1, step)]
    return names


def _joined(names: Sequence[str]) -> list[str | NumberedNames]:
    """Join neighbours whose last number goes up by equal steps."""
    entries: list[str | NumberedNames] = []
    start = 0
    while start < len(names):
        entry, taken = _longest_run(names, start)
        entries.append(entry)
        start += taken
    return entries


def _longest_run(names: Sequence[str], start: int) -> tuple[str | NumberedNames, int]:
    match = LAST_NUMBER.fullmatch(names[start])
    following = LAST_NUMBER.fullmatch(names[start + 1]) if start + 1 < len(names) else None
    if match is None or following is None:
        return names[start], 1
    before, digits, after = match.groups()
    first, step = int(digits), int(following[2]) - int(digits)
    width = len(digits) if digits[0] == "0" or len(digits) == len(following[2]) else 1
    taken = 0
    while start + taken < len(names) and names[start + taken] == f"{before}{first + taken * step:0{width}d}{after}":
        taken += 1
    if step < 1 or taken < 3:  # two names take no more room than an entry of six values
        return names[start], 1
    return (before, first, first + (taken - 1) * step, step, width, after), taken


def _hash(names: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()
