"""Motion between frames, by scikit-image. Axes: T frames, H, W."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Motion = Literal["lucas_kanade", "tvl1", "global"]
Array = NDArray[np.float32]
SUBPIXELS = 10
"""Resolution of the motion of a whole frame, in fractions of a pixel."""


def displacement(frames_THW: Array, motion: Motion, radius: int) -> Array:
    """Return the mean displacement between neighbouring frames (2, H, W): rows, columns, in pixels per frame.

    It is given at each pixel of the later frame: how far its content has moved. Frames that do not change give 0.
    """
    span = float(np.ptp(frames_THW))
    if span == 0.0:
        return np.zeros((2, *frames_THW.shape[1:]), dtype=np.float32)
    scaled = (frames_THW - frames_THW.min()) / span  # the weights of TV-L1 depend on the range of brightness
    fields = [_between(before, after, motion, radius) for before, after in pairwise(scaled)]
    mean: Array = np.stack(fields).mean(axis=0)
    return mean


def _between(before_HW: Array, after_HW: Array, motion: Motion, radius: int) -> Array:
    from skimage.registration import optical_flow_ilk, optical_flow_tvl1, phase_cross_correlation

    if motion == "global":  # unnormalised: the phases of a smooth frame are mostly noise and border effects
        shift, *_ = phase_cross_correlation(  # type: ignore[no-untyped-call]
            after_HW - after_HW.mean(), before_HW - before_HW.mean(), upsample_factor=SUBPIXELS, normalization=None
        )
        return np.broadcast_to(np.asarray(shift, dtype=np.float32)[:, None, None], (2, *after_HW.shape))
    # flow points from the first argument to the second, which here is back in time
    if motion == "tvl1":
        flow: Array = optical_flow_tvl1(after_HW, before_HW)  # type: ignore[no-untyped-call]
    else:
        flow = optical_flow_ilk(after_HW, before_HW, radius=radius)  # type: ignore[no-untyped-call]
    return -flow
