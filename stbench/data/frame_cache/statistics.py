"""Statistics of each frame, stored in the frame cache, from which a scaling is learned for any set of frames.

Axes: T time, C channels, H, W.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Frames


def frame_statistics(frames_TCHW: Frames) -> npt.NDArray[np.float64]:
    """Return minimum, maximum, mean and variance of each frame and channel, (T, C, 4).

    Missing cells (NaN) do not count; NaN for a frame without any value.
    """
    made = np.empty((*frames_TCHW.shape[:2], 4))
    for number, frame in enumerate(frames_TCHW):  # one by one: a block in float64 takes up to eight times its size
        values = frame.reshape(len(frame), -1).astype(np.float64)
        parts = [values.min(-1), values.max(-1), values.mean(-1), values.var(-1)]
        if np.isnan(parts[0]).any():
            parts = _of_known(values)
        made[number] = np.stack(parts, axis=-1)
    return made


def _of_known(values_CP: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Return minimum, maximum, mean and variance of each channel over the pixels with a value, (C,) each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without any value: NaN
        return [np.asarray(f(values_CP, axis=-1)) for f in (np.nanmin, np.nanmax, np.nanmean, np.nanvar)]
