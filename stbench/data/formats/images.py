"""Folders of pictures: a frame each, in the natural order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stbench.data.formats.recording import BLOCK_FRAMES, Blocks, Frames, Recording
from stbench.data.formats.timestamps import minutes_of_names
from stbench.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def open_images(paths: Sequence[Path], name: str) -> Recording:
    """Return one recording of these pictures, in the order given.

    Raises:
        UserError: the first picture cannot be read.
    """
    first = read_image(paths[0])
    height, width, channels = first.shape
    return Recording(
        name=name,
        paths=tuple(paths),
        length=len(paths),
        frame=(height, width, channels),
        dtype=first.dtype,
        blocks=partial(_blocks, tuple(paths), first.shape),
        minutes=minutes_of_names([path.stem for path in paths]),
    )


def read_image(path: Path) -> Frames:
    """Read a picture (H, W, C): C is 1 or 3, uint8; 16-bit grey becomes float32.

    Raises:
        UserError: it cannot be read or is cut short.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                return np.asarray(image, dtype=np.float32)[..., None]
            grey = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
            return pixels[..., None] if grey else pixels
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a picture (cut short or damaged?): {error}.") from error


def _blocks(paths: tuple[Path, ...], shape: tuple[int, ...]) -> Blocks:
    for start in range(0, len(paths), BLOCK_FRAMES):
        frames = []
        for path in paths[start : start + BLOCK_FRAMES]:
            frames.append(read_image(path))
            if frames[-1].shape != shape:
                raise UserError(
                    f"{path} is (H, W, C) = {frames[-1].shape}, the pictures before it {shape}; the pictures of one "
                    "folder must be of one size and kind."
                )
        yield np.stack(frames)
