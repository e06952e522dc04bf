"""A SHA-256 inside a checkpoint's own file, by which any flipped bit is noticed; other programs still read the file.

The file is written with a placeholder (in the header's metadata of safetensors, in the comment of a zip archive). The
digest of the whole file with that placeholder takes its place. A file that names a checksum in a second place, but has
no such mark, is damaged too.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO

_MARK = b"stbench-sha256:"
_ZEROS = b"0" * 64
PLACEHOLDER = (_MARK + _ZEROS).decode()
"""What a file holds until :func:`seal` knows its digest."""
_ZIP_END = b"PK\x05\x06"
_ZIP_END_SIZE = 22
_CHUNK = 1 << 20


def add_comment(archive: Path) -> None:
    """Give a zip archive without a comment (what ``torch.save`` writes) the placeholder as its comment."""
    with archive.open("r+b") as file:
        file.seek(-_ZIP_END_SIZE, 2)
        if file.read(len(_ZIP_END)) != _ZIP_END:
            raise ValueError(f"{archive} is no zip archive without a comment")
        file.seek(-2, 2)
        file.write(struct.pack("<H", len(PLACEHOLDER)) + PLACEHOLDER.encode())


def seal(path: Path) -> None:
    """Replace the placeholder that a file holds by the digest of the file."""
    with path.open("r+b") as file:
        place = _find(file)
        if place is None:
            raise ValueError(f"{path} has no place for a checksum")
        digest = _digest(file, place)
        file.seek(place)
        file.write(digest)


def is_intact(path: Path) -> bool | None:
    """Whether a file has the content that its checksum was made of; None where it has none.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        place = _find(file)
        if place is None:
            return None
        file.seek(place)
        return file.read(len(_ZEROS)) == _digest(file, place)


def _find(file: BinaryIO) -> int | None:
    """Where the digest stands: at the end of an archive, or in a safetensors header."""
    size = file.seek(0, 2)
    file.seek(max(0, size - len(PLACEHOLDER)))
    if file.read(len(_MARK)) == _MARK:
        return size - len(_ZEROS)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        return None
    place = file.read(length).find(_MARK)
    return None if place < 0 else 8 + place + len(_MARK)


def _digest(file: BinaryIO, place: int) -> bytes:
    """Hex digest of the file with zeros at ``place``."""
    whole = hashlib.sha256()
    file.seek(0)
    left = place
    while left:
        block = file.read(min(left, _CHUNK))
        whole.update(block)
        left -= len(block)
    whole.update(_ZEROS)
    file.seek(place + len(_ZEROS))
    while block := file.read(_CHUNK):
        whole.update(block)
    return whole.hexdigest().encode()
