"""Overlap of test sequences: the distance from which on two of them share no frame."""

from __future__ import annotations

import numpy as np

from stbench.data.dataset import Indices, Split


def overlap(split: Split, scored: Indices) -> int:
    """Return the smallest L for which clips L or more places apart share no frame; 1 if no two clips do.

    Args:
        split: the split, which knows the frames of its clips.
        scored: numbers of the scored clips (N,), in order.
    """
    frames_NT = split.frames(scored)
    if frames_NT is None or not len(scored):
        return 1
    place_NT = np.broadcast_to(np.arange(len(scored))[:, None], frames_NT.shape)
    _, frame = np.unique(frames_NT, return_inverse=True)
    first, last = np.full(frame.max() + 1, len(scored)), np.zeros(frame.max() + 1, dtype=np.int64)
    np.minimum.at(first, frame.ravel(), place_NT.ravel())
    np.maximum.at(last, frame.ravel(), place_NT.ravel())
    return int((last - first).max()) + 1
