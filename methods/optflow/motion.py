"""Motion between frames, by scikit-image. Axes: T frames, H, W."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Motion = Literal["lucas_kanade", "tvl1", "global"]
Array = NDArray[np.float32]
SUBPIXELS = 10
"""Fractions of a pixel that the motion of a whole frame is found to."""


def displacement(frames_THW: Array, motion: Motion, radius: int) -> Array:
    """Mean displacement between neighbouring frames (2, H, W): rows then columns, pixels per frame.

    At a pixel of the later frame it is how far what is seen there has come. Frames that do not change give 0.
    """
    span = float(np.ptp(frames_THW))
    if span == 0.0:
        return np.zeros((2, *frames_THW.shape[1:]), dtype=np.float32)
    scaled = (frames_THW - frames_THW.min()) / span  # TV-L1 weighs brightness against smoothness
    fields = [_between(before, after, motion, radius) for before, after in pairwise(scaled)]
    mean: Array = np.stack(fields).mean(axis=0)
    return mean


def _between(before_HW: Array, after_HW: Array, motion: Motion, radius: int) -> Array:
    from skimage.registration import optical_flow_ilk, optical_flow_tvl1, phase_cross_correlation

    if motion == "global":  # products, not phases alone: those of a smooth frame are noise and borders
        shift, *_ = phase_cross_correlation(  # type: ignore[no-untyped-call]
            after_HW - after_HW.mean(), before_HW - before_HW.mean(), upsample_factor=SUBPIXELS, normalization=None
        )
        return np.broadcast_to(np.asarray(shift, dtype=np.float32)[:, None, None], (2, *after_HW.shape))
    # the flow leads from a pixel of the first argument to where the second shows the same: back in time here
    if motion == "tvl1":
        flow: Array = optical_flow_tvl1(after_HW, before_HW)  # type: ignore[no-untyped-call]
    else:
        flow = optical_flow_ilk(after_HW, before_HW, radius=radius)  # type: ignore[no-untyped-call]
    return -flow
