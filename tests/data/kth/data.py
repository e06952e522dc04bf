"""Tiny KTH: avi files named as the original ones, and the text file that lists the frames in use."""

from pathlib import Path

import av
import numpy as np
from tests_coded import picture

PERSONS = (1, 2, 15, 17)
ACTIONS = ("boxing", "running")
FRAMES = 90
RANGES = {"boxing": "1-45, 46-70", "running": "1-24, 31-60"}  # ranges that touch, and ranges with a gap


def first_number(person: int, action: str) -> int:
    return 1000 * person + 500 * ACTIONS.index(action)


def write(folder: Path) -> None:
    """``<action>/person01_boxing_d1_uncomp.avi``; frame n of a file carries first_number + n."""
    lines = ["The frames in use:\n"]
    for person in PERSONS:
        for action in ACTIONS:
            name = f"person{person:02d}_{action}_d1"
            (folder / action).mkdir(parents=True, exist_ok=True)
            write_avi(folder / action / f"{name}_uncomp.avi", first_number(person, action), FRAMES)
            lines.append(f"{name}\t\tframes\t{RANGES[action]}\n")
    (folder / "00sequences.txt").write_text("".join(lines))


def write_avi(path: Path, first: int, frames: int, size: tuple[int, int] = (120, 160)) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(first, first + frames):
            grey = picture(number, *size, ratio=0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([grey] * 3, -1), format="rgb24")))
        container.mux(stream.encode())
