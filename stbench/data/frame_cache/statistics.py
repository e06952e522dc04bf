"""Statistics of each frame, stored in the frame cache, from which a scaling is learned for any set of frames.

Axes: T time, C channels, H, W.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stbench.data.formats.recording import Frames


def frame_statistics(frames_TCHW: Frames) -> npt.NDArray[np.float64]:
    """Return minimum, maximum, mean and variance of each frame and channel, (T, C, 4)."""
    made = np.empty((*frames_TCHW.shape[:2], 4))
    for number, frame in enumerate(frames_TCHW):  # one by one: a block in float64 takes up to eight times its size
        values = frame.reshape(len(frame), -1).astype(np.float64)
        made[number] = np.stack([values.min(-1), values.max(-1), values.mean(-1), values.var(-1)], axis=-1)
    return made
