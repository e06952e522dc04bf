"""Tiny KITTI raw folders (PNG) and Caltech pedestrian seq files."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from tests_coded import picture

DRIVES = {"2011_09_26_drive_0001_sync": 45, "2011_09_26_drive_0005_sync": 24, "2011_09_29_drive_0004_sync": 21}
CAMPUS = "2011_09_28_drive_0016_sync"  # of a category that is not used
VIDEOS = {("set06", "V000"): 100, ("set07", "V001"): 40}
RATIO = 160 / 128


def coded(number: int, height: int, width: int) -> Image.Image:
    return Image.fromarray(np.stack([picture(number, height, width, RATIO)] * 3, -1))


def write(folder: Path) -> dict[str, int]:
    """All files; returns the first number of each recording (frame n carries first + n)."""
    firsts, first = {}, 0
    for drive, frames in {**DRIVES, CAMPUS: 30}.items():
        data = folder / drive[:10] / drive / "image_03" / "data"
        data.mkdir(parents=True)
        for number in range(frames):
            coded(first + number, 96, 320).save(data / f"{number:010d}.png")
        firsts[drive] = first
        first += 1000
    for (group, video), frames in VIDEOS.items():
        (folder / group).mkdir(exist_ok=True)
        write_seq(folder / group / f"{video}.seq", first, frames)
        firsts[f"{group}/{video}"] = first
        first += 1000
    return firsts


def write_seq(path: Path, first: int, frames: int) -> None:
    """JPEG frames as StreamPix writes them: the first time stamp takes 16 bytes here, the others 8."""
    header = bytearray(1024)
    header[:4] = b"\xed\xfe\x00\x00"
    struct.pack_into("<II", header, 548, 160, 120)
    struct.pack_into("<I", header, 572, frames)
    parts = [bytes(header)]
    for number in range(first, first + frames):
        stream = io.BytesIO()
        coded(number, 120, 160).save(stream, "JPEG", quality=90)
        stamp = b"\0" * (16 if number == first else 8)
        parts.append(struct.pack("<I", len(stream.getvalue()) + 4) + stream.getvalue() + stamp)
    path.write_bytes(b"".join(parts))
