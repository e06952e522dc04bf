"""Sources of the glyphs that move; no glyph is in two splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]

SPLIT_SEED = 0
SPLIT_FRACTIONS = 0.8, 0.1  # train, validation; the rest is test


@dataclass(frozen=True)
class Glyphs:
    """Images (N, h, w) uint8 of each split; no image is in two of them."""

    train: Images
    val: Images
    test: Images


def digits(size: int) -> Glyphs:
    """Return scikit-learn's handwritten digits (1797 of 8×8, 0 … 16), enlarged bicubically to size×size, 0 … 255.

    The images are shuffled with a fixed seed, then cut 80 / 10 / 10 %.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    small = load_digits().images
    factor = size / small.shape[1]
    large = zoom(small, (1, factor, factor), order=3, mode="grid-constant", grid_mode=True)
    images = np.clip(np.rint(large * (255 / 16)), 0, 255).astype(np.uint8)
    return split_glyphs(images)


def split_glyphs(images: Images) -> Glyphs:
    """Shuffle images with a fixed seed and cut them into the three splits."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    train = round(len(images) * SPLIT_FRACTIONS[0])
    val = train + round(len(images) * SPLIT_FRACTIONS[1])
    return Glyphs(images[order[:train]], images[order[train:val]], images[order[val:]])
