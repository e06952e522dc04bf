"""Images in the idx format of MNIST and its relatives, as glyphs that move."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stbench.data.gzipped import read_content
from stbench.data.readers.moving_images.glyphs import SPLIT_SEED, Glyphs, Images
from stbench.errors import UserError

IMAGES_MAGIC = 0x00000803  # unsigned bytes, three axes
HEADER_BYTES = 16


def read_idx_glyphs(train: Path, test: Path, size: int, val_images: int) -> Glyphs:
    """Read the glyphs of a training file, ``val_images`` of them held out with a fixed seed, and of a test file.

    Raises:
        UserError: a file is damaged or no idx of images, or too few images are left for training.
    """
    images = read_idx_images(train)
    if len(images) <= val_images:
        raise UserError(f"{train} holds {len(images)} images, too few to hold out {val_images} for validation.")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = np.sort(order[:val_images])
    kept = np.sort(order[val_images:])
    return Glyphs(shrink(images[kept], size), shrink(images[held], size), shrink(read_idx_images(test), size))


def read_idx_images(path: Path) -> Images:
    """Read the images (N, h, w) uint8 of an idx file, gzipped or not.

    Raises:
        UserError: the file cannot be read, is cut short, or holds something else.
    """
    content = read_content(path)
    header = np.frombuffer(content[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0"), dtype=">i4")
    if len(content) < HEADER_BYTES or header[0] != IMAGES_MAGIC:
        raise UserError(f"{path} is not an idx file of images (it begins with {content[:4].hex() or 'nothing'}).")
    count, height, width = (int(size) for size in header[1:])
    pixels = np.frombuffer(content, dtype=np.uint8, offset=HEADER_BYTES)
    if min(count, height, width) < 1 or pixels.size != count * height * width:
        raise UserError(
            f"{path} announces {count} images of {height}×{width} and holds {pixels.size} bytes of pixels "
            "(cut short or damaged?). Fetch it again."
        )
    return pixels.reshape(count, height, width)


def check_content(path: Path, accepted: tuple[str, ...]) -> None:
    """Refuse a file whose md5, packed or unpacked, is none of the accepted ones: relatives share their file names.

    Raises:
        UserError: another file under this name.
    """
    content = read_content(path)
    seen = {hashlib.md5(data, usedforsecurity=False).hexdigest() for data in (path.read_bytes(), content)}
    if not seen & set(accepted):
        raise UserError(
            f"{path} is not the file it should be: the md5 of its content is "
            f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}, expected {' or '.join(accepted)}. "
            "Fetch it again, or accept any content with --set dataset.md5=null."
        )


def shrink(images: Images, size: int) -> Images:
    """Resize images to size×size by averaging whole blocks of pixels.

    Raises:
        UserError: size does not divide the images' height and width.
    """
    height, width = images.shape[1:]
    if (height, width) == (size, size):
        return images
    if size > min(height, width) or height % size or width % size:
        fits = [n for n in range(1, height + 1) if math.gcd(height, width) % n == 0]
        raise UserError(f"glyph_size {size}: images of {height}×{width} can be averaged down to {fits} pixels only.")
    blocks = images.reshape(len(images), size, height // size, size, width // size)
    means: npt.NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return np.rint(means).astype(np.uint8)
