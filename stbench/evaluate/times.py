"""The dates that a user gives with past frames, continued over the frames to predict. Axes: B batch, T time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.errors import UserError

Dates = npt.ArrayLike

MICRO = 1_000_000
FIRST = 157_766_400  # 1975: whole numbers below that are later as minutes are taken for those


def clip_times(dates: Dates, batch: int, t_in: int, horizon: int) -> Tensor:
    """Return seconds since 1970-01-01 of past and future frames, (B, T_in+T_out) int64.

    Args:
        dates: datetime64 (or values that numpy parses as such), or whole seconds since 1970-01-01 00:00, in the time
            zone of the training data. (T,) for all clips, or (B, T). T is T_in, evenly spaced, which the future
            continues; or T_in + ``horizon``.

    Raises:
        UserError: neither dates nor seconds, a wrong shape, or an unknown step.
    """
    micros = _microseconds(dates)
    whole = t_in + horizon
    expected = f"({t_in},) or ({batch}, {t_in}), or the whole clip's {whole} in place of {t_in}"
    if micros.ndim not in (1, 2) or micros.shape[:-1] not in ((), (batch,)) or micros.shape[-1] not in (t_in, whole):
        raise UserError(f"The times have shape {micros.shape}; expected {expected}.")
    micros = np.broadcast_to(micros, (batch, micros.shape[-1]))
    if micros.shape[1] == t_in:
        micros = _continued(micros, horizon)
    return torch.from_numpy(micros // MICRO)


def _microseconds(dates: Dates) -> npt.NDArray[np.int64]:
    """Microseconds, so that steps below a second can be continued."""
    array = np.asarray(dates)
    if array.dtype.kind in "iu":
        seconds = array.astype(np.int64)
        if seconds.size and FIRST // 60 <= seconds.max() < FIRST:
            raise UserError(
                f"The times are whole numbers up to {seconds.max()}, which as seconds since 1970 lie before 1975 "
                "and as minutes after it. Minutes have to be multiplied by 60; or give dates (datetime64)."
            )
        return seconds * MICRO
    try:
        stamps = array.astype("M8[us]") if array.dtype.kind in "MUSO" else None
    except (ValueError, TypeError):
        stamps = None
    if stamps is None or np.isnat(stamps).any():
        raise UserError(
            f"The times are {array.dtype} values; give datetime64, ISO dates, or whole seconds since 1970-01-01 00:00."
        )
    return stamps.astype(np.int64)


def _continued(micros_BT: npt.NDArray[np.int64], horizon: int) -> npt.NDArray[np.int64]:
    steps = np.diff(micros_BT, axis=1)
    if not steps.size or (steps != steps[:, :1]).any() or (steps <= 0).any():
        why = "are not evenly spaced" if steps.size else "are one per clip, which shows no step"
        raise UserError(f"The past frames' times {why}. Give the times of the {horizon} future frames as well.")
    future = micros_BT[:, -1:] + steps[:, :1] * np.arange(1, horizon + 1)
    return np.concatenate([micros_BT, future], axis=1)
