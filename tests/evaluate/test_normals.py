"""The climatology that anomalies are measured against: training frames alone, by hour and day of the year."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stbench.data import Indices, Split, Splits
from stbench.errors import UserError
from stbench.evaluate.normals import Normals
from stbench.schema import Scaling

START = int(np.datetime64("2019-03-01T00:00").astype("M8[s]").astype(int))
HOURS = 24 * 70


class Hours(Split):
    """Overlapping clips of three hourly frames; a frame's value is its number."""

    def __init__(self, dated: bool = True) -> None:
        self.dated = dated

    def __len__(self) -> int:
        return HOURS - 2

    def frames(self, indices: Indices) -> Indices:
        return indices[:, None] + np.arange(3)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        return torch.from_numpy(self.frames(indices)).float()[:, :, None, None, None].expand(-1, 3, 1, 2, 2)

    def times(self, indices: Indices) -> Indices | None:
        return START + 3600 * self.frames(indices) if self.dated else None


def splits(split: Any) -> Splits:
    return Splits(train=split, val=split, test=split, report="", fingerprint="", scaling=Scaling(offset=(100.0,)))


@pytest.mark.parametrize("date", ["2019-03-03T05:00", "2021-04-10T23:00", "2020-05-09T00:00"])
def test_mean_of_the_hour_within_30_days(date: str) -> None:
    moment = np.datetime64(date)
    hours = np.arange(HOURS)
    stamps = (START + 3600 * hours).astype("M8[s]")
    days = (stamps.astype("M8[D]") - np.datetime64("2019-01-01")).astype(int)
    day = int((moment.astype("M8[D]") - moment.astype("M8[Y]").astype("M8[D]")).astype(int))
    same = (hours % 24 == moment.astype("M8[h]").astype(int) % 24) & (np.abs(days - day) <= 30)
    found = Normals(splits(Hours()), 16).at(torch.tensor([[int(moment.astype("M8[s]").astype(int))]]))
    assert found.shape == (1, 1, 1, 2, 2)
    assert found.flatten().tolist() == pytest.approx([100 + hours[same].mean()] * 4, rel=1e-6)


class SomeHours(Hours):
    """The first cell is missing on odd days, the last one always."""

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        clips = super().clips(indices, epoch).clone()
        clips[..., 0, 0][clips[..., 0, 0] // 24 % 2 == 1] = torch.nan
        clips[..., 1, 1] = torch.nan
        return clips


def test_missing_cells_do_not_count() -> None:
    moment = torch.tensor([[START + 3600]])
    complete = Normals(splits(Hours()), 64).at(moment).flatten()
    found = Normals(replace(splits(SomeHours()), incomplete=True), 64).at(moment).flatten()
    even_days = np.arange(1, HOURS, 48)[:16]
    assert float(found[0]) == pytest.approx(100 + even_days.mean(), rel=1e-6)
    assert torch.equal(found[1:3], complete[1:3])
    assert found[3].isnan()


def test_a_time_that_training_never_saw_has_none() -> None:
    half_past = START + 30
    winter = START - 100 * 24 * 3600
    assert Normals(splits(Hours()), 64).at(torch.tensor([[half_past, winter]])).isnan().all()


def test_undated_data() -> None:
    with pytest.raises(UserError, match="no dates"):
        Normals(splits(Hours(dated=False)), 16)
