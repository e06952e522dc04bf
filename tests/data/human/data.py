"""Tiny Human3.6M: pictures named subject, action, camera and frame, and the lists of clips."""

from pathlib import Path

import numpy as np
from PIL import Image
from tests_coded import picture

STEP, LENGTH = 5, 8
WALK, EAT, POSE = "S1_Walking.60457274", "S5_Eating.54138969", "S8_Posing.58860488"
CLIPS = {
    "train.txt": [(WALK, 1), (WALK, 6), (EAT, 3), (POSE, 2)],
    "test.txt": [("S9_Walking.60457274", 1), ("S11_Waiting.55011271", 4)],
}


def first_number(camera: str) -> int:
    return 1000 * int(camera[1:].split("_")[0])


def write(folder: Path, suffix: str = ".jpg") -> None:
    """Frame n of a subject carries 1000 · subject + n."""
    (folder / "images").mkdir(parents=True)
    for name, clips in CLIPS.items():
        (folder / name).write_text("".join(f"images/{camera}_,{first}\n" for camera, first in clips))
        for camera, first in clips:
            for number in range(first, first + STEP * LENGTH, STEP):
                pixels = np.stack([picture(first_number(camera) + number, 100, 102, ratio=0)] * 3, -1)
                Image.fromarray(pixels).save(folder / "images" / f"{camera}_{number:06d}{suffix}", quality=95)
