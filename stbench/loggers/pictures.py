"""Sample clips of a run as pictures for tools that show them.

Axes: T time, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Picture = NDArray[np.uint8]
CLIPS = 2
GAP = 2


def sample_pictures(
    samples: Mapping[str, Array], value_range: tuple[float, float] | None
) -> Iterator[tuple[str, Picture]]:
    """Yield the first sample clips of a run, each with its name.

    The upper strip holds past and true future, the lower one the prediction below the future.

    Args:
        samples: arrays ``past``, ``future``, ``prediction`` (K, T, C, H, W) and ``index`` (K,); or none.
        value_range: values shown as black and white; None for those of the true clip.

    Returns:
        Pictures (H', W', 3), 8 bits.
    """
    if not samples:
        return
    order = ("index", "past", "future", "prediction")
    for index, past, future, prediction in zip(*(samples[name][:CLIPS] for name in order), strict=True):
        truth = np.concatenate([past, future])
        low, high = value_range or (float(np.nanmin(truth)), float(np.nanmax(truth)))
        below = np.concatenate([np.full_like(past, low), prediction])
        strips = [_strip(frames, low, high) for frames in (truth, below)]
        yield f"clip {index}", np.concatenate([strips[0], np.full_like(strips[0][:GAP], 255), strips[1]])


def _strip(frames_TCHW: Array, low: float, high: float) -> Picture:
    """Frames side by side; channels other than three are shown as their mean."""
    scaled = np.nan_to_num((frames_TCHW - low) / max(high - low, 1e-12)).clip(0, 1)
    colour = scaled if scaled.shape[1] == 3 else np.repeat(scaled.mean(1, keepdims=True), 3, axis=1)
    frames = [np.moveaxis(np.rint(255 * frame).astype(np.uint8), 0, -1) for frame in colour]
    gap = np.full_like(frames[0][:, :GAP], 255)
    return np.concatenate([part for frame in frames for part in (frame, gap)][:-1], axis=1)
