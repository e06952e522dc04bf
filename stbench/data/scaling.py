"""Learn the scaling of a dataset from the statistics of its training frames.

Axes: F frames, C channels; the last axis of statistics holds minimum, maximum, mean and variance.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from stbench.errors import UserError
from stbench.schema import Scaling

Scale = Literal["unit", "bytes", "minmax", "zscore"]

BYTES = 255.0
EPSILON = float(np.finfo(np.float32).eps)
FEWEST_STEPS = 256  # between the smallest and the largest value, in float32
SUBTRACT = " float32 cannot hold small differences of large values: subtract a constant from the data first."
FEWEST_LEVELS = 64.0  # bytes whose maximum is smaller are masks, classes or counts, not grey levels


def learn_scaling(
    statistics_FC4: npt.NDArray[np.float64], scale: Scale, where: str, per_channel: bool = True
) -> Scaling:
    """Return the scaling learned from these frames (the training frames) alone.

    ``unit`` divides bytes by 255. ``bytes`` does too, but divides masks and classes by their largest value.
    ``minmax`` maps the smallest and largest value to 0 and 1. ``zscore`` gives mean 0 and standard deviation 1 (of
    the population, over frames and pixels): the pooled variance is the mean of the frames' variances plus the
    variance of their means.

    Args:
        statistics_FC4: minimum, maximum, mean and variance of each frame and channel.
        scale: kind of scaling.
        where: the benchmark's name, for messages.
        per_channel: False uses one range for all channels (``minmax`` only).

    Frames without a value (NaN) do not count.

    Raises:
        UserError: a channel, or all of the data, is constant or without a value, or float32 loses its differences.
    """
    statistics_FC4 = _with_values(statistics_FC4, where)
    if scale == "unit":
        return Scaling(scale=(BYTES,))
    if scale == "bytes":
        largest = float(statistics_FC4[..., 1].max())
        return Scaling(scale=(largest if 0 < largest < FEWEST_LEVELS else BYTES,))
    low, high = statistics_FC4[..., 0].min(0), statistics_FC4[..., 1].max(0)
    if not per_channel:
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    if (low == high).any():
        channel = int(np.argmax(low == high))
        what = f"channel {channel} of every training frame" if per_channel else "every training frame"
        advice = SUBTRACT if abs(low[channel]) >= 1 / EPSILON else ""
        raise UserError(f"{where}: {what} is {low[channel]:g}; there is nothing to learn.{advice}")
    _check_precision(low, high, where)
    if scale == "minmax":
        return Scaling(offset=tuple(low), scale=tuple(high - low))
    means, variances = statistics_FC4[..., 2], statistics_FC4[..., 3]
    return Scaling(offset=tuple(means.mean(0)), scale=tuple(np.sqrt(variances.mean(0) + means.var(0))))


def _with_values(statistics_FC4: npt.NDArray[np.float64], where: str) -> npt.NDArray[np.float64]:
    """Return the statistics with those of frames without a value replaced by such as change no result."""
    missing_FC = np.isnan(statistics_FC4[..., 0])
    if not missing_FC.any():
        return statistics_FC4
    if missing_FC.all(axis=0).any():
        channel = int(np.argmax(missing_FC.all(axis=0)))
        raise UserError(f"{where}: channel {channel} has no value in any training frame; there is nothing to learn.")
    found = statistics_FC4.copy()
    for channel, missing_F in enumerate(missing_FC.T):
        known = statistics_FC4[~missing_F, channel]
        means = known[:, 2]
        found[missing_F, channel] = known[:, 0].min(), known[:, 1].max(), means.mean(), known[:, 3].mean() + means.var()
    return found


def _check_precision(low_C: npt.NDArray[np.float64], high_C: npt.NDArray[np.float64], where: str) -> None:
    """Reject values whose differences are lost in float32.

    Raises:
        UserError: a channel's range has fewer than ``FEWEST_STEPS`` steps of float32 at its largest value.
    """
    steps = (high_C - low_C) / (EPSILON * np.maximum(abs(low_C), abs(high_C)))
    coarse = steps < FEWEST_STEPS
    if coarse.any():
        channel = int(np.argmax(coarse))
        raise UserError(
            f"{where}: channel {channel} of the training frames lies between {low_C[channel]:.9g} and "
            f"{high_C[channel]:.9g}.{SUBTRACT}"
        )
