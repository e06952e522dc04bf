"""TFRecord files of episodes, read without TensorFlow: records with checksums that hold a protobuf ``Example``.

A record is a length (uint64), its masked crc32c, the payload, and the payload's masked crc32c. The payload maps
names to lists of bytes or of numbers (which are not read). Frame i of an episode is ``<i>/<camera>/encoded``
(raw bytes, H×W×3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stbench.data.formats.crc32c import crc32c
from stbench.data.formats.recording import Blocks, Frames, Recording
from stbench.errors import UserError

SUFFIXES = (".tfrecord", ".tfrecords")
CAMERA = "image_aux1"
MASK = 0xA282EAD8
MOST = 1 << 30  # longest record in bytes; a longer one means a damaged length
VARINT, BYTES = 0, 2
SKIPPED = {1: 8, 5: 4}  # sizes in bytes of the fixed-size wire types


def open_tfrecord(path: Path, name: str, camera: str | None = None) -> list[Recording]:
    """Return one recording for each episode of a file.

    Args:
        path: the file.
        name: name of the recordings; the n-th adds ``#<n>``.
        camera: camera of the frames; BAIR's main camera by default.

    Raises:
        UserError: the file is cut short or damaged, or an episode lacks that camera's frames.
    """
    found = []
    for number, (start, _) in enumerate(_places(path)):
        frames = _episode(path, start, camera or CAMERA) if not number else None
        if frames is not None:
            length, height, width, channels = frames.shape
        found.append(
            Recording(
                name=f"{name}#{number}",
                paths=(path,),
                length=length,
                frame=(height, width, channels),
                dtype=np.dtype(np.uint8),
                blocks=partial(_blocks, path, start, camera or CAMERA, (length, height, width, channels)),
                variant=f"{camera or CAMERA} {number}",
            )
        )
    if not found:
        raise UserError(f"{path} holds no record.")
    return found


def _blocks(path: Path, start: int, camera: str, shape: tuple[int, ...]) -> Blocks:
    frames = _episode(path, start, camera)
    if frames.shape != shape:
        raise UserError(f"{path}: an episode is {frames.shape}, the one before it {shape}.")
    yield frames


def _places(path: Path) -> Iterator[tuple[int, int]]:
    """Return start and length of each payload; check the length's checksum (reading checks the payload's)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(12)
            if len(head) < 12:
                raise _damaged(path, at, "a record's head is cut short")
            length, check = struct.unpack("<QI", head)
            if masked(head[:8]) != check or length > MOST or at + 16 + length > size:
                raise _damaged(path, at, "a record's length is damaged, or the file is cut short")
            yield at + 12, length
            at += 16 + length


def _episode(path: Path, start: int, camera: str) -> Frames:
    with path.open("rb") as file:
        file.seek(start - 12)
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(start)
        payload = file.read(length)
        (check,) = struct.unpack("<I", file.read(4))
    if masked(payload) != check:
        raise _damaged(path, start, "a record's checksum does not fit")
    try:
        held = dict(features(payload))
    except (IndexError, ValueError, struct.error) as error:
        raise _damaged(path, start, f"a record is no Example ({error})") from error
    frames: list[Frames] = []
    while (raw := held.get(f"{len(frames)}/{camera}/encoded")) is not None:
        side = round((len(raw) / 3) ** 0.5)
        if 3 * side * side != len(raw):
            raise _damaged(path, start, f"a frame of {len(raw)} bytes is no square of three colours")
        frames.append(np.frombuffer(raw, dtype=np.uint8).reshape(side, side, 3))
    if not frames:
        raise UserError(f"{path}: an episode lacks '0/{camera}/encoded'; it holds {', '.join(sorted(held)[:6])}.")
    return np.stack(frames)


def features(example: bytes) -> Iterator[tuple[str, bytes]]:
    """Return the features of a serialised ``Example`` that hold bytes: name and first value."""
    for _, message in _fields(example, 1):
        for _, entry in _fields(message, 1):
            name = next(value for _, value in _fields(entry, 1)).decode("utf-8")
            for _, feature in _fields(entry, 2):
                for _, values in _fields(feature, 1):  # bytes_list; numbers are fields 2 and 3
                    for _, value in _fields(values, 1):
                        yield name, value
                        break


def _fields(message: bytes, wanted: int) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields with one number in a protobuf message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is longer than its message")
            if number == wanted:
                yield number, message[at : at + length]
            at += length
        elif kind in SKIPPED:
            at += SKIPPED[kind]
        else:
            raise ValueError(f"wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7


def masked(content: bytes) -> int:
    """Return the masked crc32c (Castagnoli) of TFRecord files."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


def _damaged(path: Path, at: int, why: str) -> UserError:
    return UserError(f"{path} cannot be read as TFRecord near byte {at}: {why}. Fetch it again.")
