"""What is normal at a time of day and a day of the year: the climatology that anomaly correlation is measured against.

Axes: B batch, T time, C channels, H, W, S times of day, D days of the year, F frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.data import Indices, Split, Splits
from stbench.errors import UserError
from stbench.nn.calendar import SECONDS_PER_DAY

DAYS = 366
WINDOW = 30
"""Days before and after a day of the year whose training frames count, at the same time of day."""
MOST_BYTES = 1 << 31


class Normals:
    """Means of the training frames within 30 days of each day of the year, at each time of day, in physical units.

    Every training frame counts once, however many clips hold it. Missing cells do not count.

    Raises:
        UserError: the data have no dates, or the table would not fit in memory.
    """

    def __init__(self, dataset: Splits, batch_size: int) -> None:
        train = dataset.train.unaugmented()
        everything = np.arange(len(train), dtype=np.int64)
        seconds = train.times(everything)
        if seconds is None:
            raise UserError("the data have no dates, so no climatology by day of the year is known")
        self.slots_S = np.unique(seconds % SECONDS_PER_DAY)
        frame = tuple(train.clips(everything[:1], 0).shape[2:])
        size = len(self.slots_S) * DAYS * int(np.prod(frame)) * 8
        if size > MOST_BYTES:
            raise UserError(f"the climatology by hour and day of the year would take {size / 1e9:.0f} GB")
        sums_SDCHW = torch.zeros(len(self.slots_S), DAYS, *frame, dtype=torch.float64)
        cells = frame if dataset.incomplete else (1, 1, 1)
        counts = torch.zeros(len(self.slots_S), DAYS, *cells, dtype=torch.float64)
        for clips, fresh_BT, times_BT in _fresh(train, seconds, batch_size):
            chosen = torch.from_numpy(fresh_BT)
            slot, day = self._place(times_BT[fresh_BT])
            frames = dataset.to_physical(clips)[chosen].double()
            known = ~frames.isnan() if dataset.incomplete else torch.ones(len(frames), 1, 1, 1)
            place = torch.from_numpy(slot * DAYS + day)
            sums_SDCHW.flatten(0, 1).index_add_(0, place, frames.nan_to_num() if dataset.incomplete else frames)
            counts.flatten(0, 1).index_add_(0, place, known.double())
        self._means_SDCHW = (_within_window(sums_SDCHW) / _within_window(counts)).float()

    def at(self, seconds_BT: Tensor) -> Tensor:
        """What is normal at times (B, T), int64 seconds since 1970 -> (B, T, C, H, W); NaN where none is known."""
        slot, day = self._place(seconds_BT.cpu().numpy())
        found = self._means_SDCHW[torch.from_numpy(slot), torch.from_numpy(day)]
        missing = torch.from_numpy(self.slots_S[slot] != seconds_BT.cpu().numpy() % SECONDS_PER_DAY)
        found[missing] = torch.nan
        return found.to(seconds_BT.device)

    def _place(self, seconds: Indices) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
        slot = np.searchsorted(self.slots_S, seconds % SECONDS_PER_DAY).clip(max=len(self.slots_S) - 1)
        dates = seconds.astype("M8[s]")
        day = (dates.astype("M8[D]") - dates.astype("M8[Y]").astype("M8[D]")).astype(np.int64)
        return slot, day


def _fresh(train: Split, seconds_NT: Indices, size: int) -> Iterator[tuple[Tensor, npt.NDArray[np.bool_], Indices]]:
    """Batches of clips, which of their frames were not in an earlier one (B, T), and their times."""
    everything = np.arange(len(train), dtype=np.int64)
    numbers = train.frames(everything)
    fresh_NT = np.ones(seconds_NT.shape, dtype=bool)
    if numbers is not None:
        fresh_NT[:] = False
        fresh_NT.flat[np.unique(numbers, return_index=True)[1]] = True
    used = everything[fresh_NT.any(axis=1)]
    for start in range(0, len(used), size):
        chosen = used[start : start + size]
        yield train.clips(chosen, 0), fresh_NT[chosen], seconds_NT[chosen]


def _within_window(values_SDx: Tensor) -> Tensor:
    """Sums over the days at most ``WINDOW`` before or after each day, the year being a circle."""
    around = torch.cat([values_SDx[:, -WINDOW:], values_SDx, values_SDx[:, :WINDOW]], dim=1)
    total = torch.cat([torch.zeros_like(around[:, :1]), around.cumsum(1)], dim=1)
    return total[:, 2 * WINDOW + 1 :] - total[:, : -2 * WINDOW - 1]
