"""Statistics of a choice of frames, put together from those kept for every frame.

Axes: F frames, C channels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from stbench.data.formats import Frames
from stbench.errors import UserError
from stbench.schema import Scaling

Floats = npt.NDArray[np.float64]
Scale = Literal["unit", "minmax", "zscore"]

BYTES = 255.0


def frame_statistics(frames_TCHW: Frames) -> Floats:
    """Minimum, maximum, mean and mean square about that mean of each frame and channel, (T, C, 4)."""
    made = np.empty((*frames_TCHW.shape[:2], 4))
    for number, frame in enumerate(
        frames_TCHW
    ):  # one at a time: in float64, a block of them takes eight times its size
        values = frame.reshape(len(frame), -1).astype(np.float64)
        made[number] = np.stack([values.min(-1), values.max(-1), values.mean(-1), values.var(-1)], axis=-1)
    return made


def scaling(statistics_FC4: Floats, scale: Scale, where: str) -> Scaling:
    """How values are scaled, learned from these frames (the training ones) alone.

    ``unit`` takes bytes to [0, 1]; ``minmax`` the smallest and largest value to 0 and 1; ``zscore`` to mean 0 and
    standard deviation 1 (of the population, over frames and pixels). The pooled variance is the mean of the frames'
    variances plus the variance of their means.

    Raises:
        UserError: a channel is constant.
    """
    if scale == "unit":
        return Scaling(scale=(BYTES,))
    low, high = statistics_FC4[..., 0].min(0), statistics_FC4[..., 1].max(0)
    if (low == high).any():
        channel = int(np.argmax(low == high))
        raise UserError(
            f"{where}: channel {channel} of every training frame is {low[channel]:g}; there is nothing to learn."
        )
    if scale == "minmax":
        return Scaling(offset=tuple(low), scale=tuple(high - low))
    means, variances = statistics_FC4[..., 2], statistics_FC4[..., 3]
    return Scaling(offset=tuple(means.mean(0)), scale=tuple(np.sqrt(variances.mean(0) + means.var(0))))
