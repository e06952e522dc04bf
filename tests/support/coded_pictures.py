"""Pictures that carry a number, legible after resizing, cutting and lossy compression: a 4×4 grid of bits."""

import numpy as np

SIDE = 4


def picture(number: int, height: int, width: int, ratio: float = 1.0) -> np.ndarray:
    """Grey (H, W) uint8; the grid fills the middle, ``ratio`` times as wide as high (0: the whole picture)."""
    bits = np.array([number >> bit & 1 for bit in range(SIDE * SIDE)], dtype=np.uint8).reshape(SIDE, SIDE) * 255
    inner = width if ratio == 0 else round(height * ratio)
    rows = np.arange(height) * SIDE // height
    columns = np.arange(inner) * SIDE // inner
    made = np.full((height, width), 128, np.uint8)
    left = (width - inner) // 2
    made[:, left : left + inner] = bits[np.ix_(rows, columns)]
    return made


def numbers(clips_BTCHW: np.ndarray) -> np.ndarray:
    """Numbers (B, T) read back from clips in [0, 1]."""
    height, width = clips_BTCHW.shape[-2:]
    rows = (np.arange(SIDE) * 2 + 1) * height // (2 * SIDE)
    columns = (np.arange(SIDE) * 2 + 1) * width // (2 * SIDE)
    bits = clips_BTCHW.mean(2)[:, :, rows][..., columns] > 0.5
    return (bits.reshape(*bits.shape[:2], -1) * (1 << np.arange(SIDE * SIDE))).sum(-1)
