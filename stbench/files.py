"""Helpers for files that several layers use: hashes of content, animated GIFs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.schema.folder import write_with

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 1 << 20


def file_hash(*paths: Path, kind: str = "sha256") -> str:
    """Hash the contents of one or more files in order and return the hexadecimal digest.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.new(kind, usedforsecurity=False)
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def write_gif(path: Path, frames: Sequence[Image], durations: int | Sequence[int]) -> None:
    """Write pictures of equal size as an endless GIF.

    Args:
        path: the file, written atomically.
        frames: at least one picture.
        durations: milliseconds of each frame, or one number for all.

    Raises:
        OSError: the file cannot be written.
    """
    shown = durations if isinstance(durations, int) else list(durations)
    first, *others = frames

    def write(temporary: Path) -> None:
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=shown, loop=0, disposal=1)

    write_with(path, write)
