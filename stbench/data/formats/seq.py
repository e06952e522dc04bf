"""StreamPix seq files holding JPEG frames, the format of the Caltech pedestrian recordings.

A header of 1024 bytes holds width (byte 548), height (552) and the number of frames (572), little-endian. Each frame
is its size in bytes (including these 4), the JPEG, and a time stamp of 8 or 16 bytes.
"""

from __future__ import annotations

import io
import mmap
import struct
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from stbench.data.formats.guard import check_pixels
from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.errors import UserError

HEADER = 1024
SIZE_AT, COUNT_AT = 548, 572
JPEG = b"\xff\xd8"
STAMPS = 8, 16


def open_seq(path: Path, name: str) -> Recording:
    """Open a seq file as one recording of RGB frames.

    Raises:
        UserError: the header cannot be read, or the file holds fewer frames than it announces.
    """
    with path.open("rb") as stream:
        header = stream.read(HEADER)
    if len(header) < HEADER or header[:4] != b"\xed\xfe\x00\x00":
        raise UserError(f"{path} is not a seq file (cut short or damaged?).")
    width, height = struct.unpack_from("<II", header, SIZE_AT)
    (length,) = struct.unpack_from("<I", header, COUNT_AT)
    check_pixels(path, height, width)
    places = _places(path)
    if len(places) < length or not places:
        raise UserError(f"{path} announces {length} frames and holds {len(places)} (cut short?). Fetch it again.")
    blocks = partial(_blocks, path, places, (height, width))
    return Recording(name, (path,), len(places), (height, width, 3), np.dtype(np.uint8), blocks)


def _places(path: Path) -> list[tuple[int, int]]:
    """Return the first byte of each JPEG, and the byte after its last."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        places: list[tuple[int, int]] = []
        start, end = HEADER, len(data)
        while start + 6 <= end:
            (size,) = struct.unpack_from("<I", data, start)
            if data[start + 4 : start + 6] != JPEG or start + size > end:
                break
            places.append((start + 4, start + size))
            after = [start + size + stamp for stamp in STAMPS]
            start = next((place for place in after if data[place + 4 : place + 6] == JPEG), end)
    return places


def _blocks(path: Path, places: list[tuple[int, int]], shape: tuple[int, int]) -> Blocks:
    with path.open("rb") as stream:
        for first in range(0, len(places), BLOCK_FRAMES):
            frames: list[Frames] = []
            for start, end in places[first : first + BLOCK_FRAMES]:
                stream.seek(start)
                try:
                    with Image.open(io.BytesIO(stream.read(end - start)), formats=("JPEG",)) as image:
                        if (image.height, image.width) != shape:
                            raise UserError(
                                f"{path}: frame {first + len(frames)} is {image.height}×{image.width}, the header says "
                                f"{shape[0]}×{shape[1]} (damaged?). Fetch it again."
                            )
                        frames.append(np.asarray(image.convert("RGB")))
                except (OSError, SyntaxError) as error:
                    raise UserError(f"{path}: frame {first + len(frames)} is damaged: {error}.") from error
            yield np.stack(frames)
