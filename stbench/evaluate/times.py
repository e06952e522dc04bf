"""Times given by a user for past frames, extended to the frames to predict. Axes: B batch, T time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.errors import UserError

Dates = npt.ArrayLike


def clip_times(dates: Dates, batch: int, t_in: int, horizon: int) -> Tensor:
    """Return minutes since 1970-01-01 of past and future frames, (B, T_in+T_out) int64.

    Args:
        dates: datetime64 (or values that numpy parses as such), or whole minutes since 1970-01-01 00:00, in the time
            zone of the training data. (T,) for all clips, or (B, T). T is T_in, evenly spaced, which the future
            continues; or T_in + ``horizon``.

    Raises:
        UserError: neither dates nor minutes, a wrong shape, or an unknown step.
    """
    minutes = _minutes(dates)
    whole = t_in + horizon
    expected = f"({t_in},) or ({batch}, {t_in}), or the whole clip's {whole} in place of {t_in}"
    if minutes.ndim not in (1, 2) or minutes.shape[:-1] not in ((), (batch,)) or minutes.shape[-1] not in (t_in, whole):
        raise UserError(f"The times have shape {minutes.shape}; expected {expected}.")
    minutes = np.broadcast_to(minutes, (batch, minutes.shape[-1]))
    if minutes.shape[1] == t_in:
        minutes = _continued(minutes, horizon)
    return torch.from_numpy(np.array(minutes))


def _minutes(dates: Dates) -> npt.NDArray[np.int64]:
    array = np.asarray(dates)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    try:
        stamps = array.astype("M8[m]") if array.dtype.kind in "MUSO" else None
    except (ValueError, TypeError):
        stamps = None
    if stamps is None or np.isnat(stamps).any():
        raise UserError(
            f"The times are {array.dtype} values; give datetime64, ISO dates, or whole minutes since 1970-01-01 00:00."
        )
    return stamps.astype(np.int64)


def _continued(minutes_BT: npt.NDArray[np.int64], horizon: int) -> npt.NDArray[np.int64]:
    steps = np.diff(minutes_BT, axis=1)
    if not steps.size or (steps != steps[:, :1]).any() or (steps <= 0).any():
        why = "are not evenly spaced" if steps.size else "are one per clip, which shows no step"
        raise UserError(f"The past frames' times {why}. Give the times of the {horizon} future frames as well.")
    future = minutes_BT[:, -1:] + steps[:, :1] * np.arange(1, horizon + 1)
    return np.concatenate([minutes_BT, future], axis=1)
