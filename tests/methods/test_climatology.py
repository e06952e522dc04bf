"""Climatology by time of day against pandas' calendar; dates without training data; data without dates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from stbench import ClipShape, Method, UserError, create_method
from stbench.train.checkpoint import load_weights, save_weights

SHAPE = ClipShape(t_in=2, t_out=3, channels=1, height=2, width=3)
GROUPS = ("weekday_time_of_day", "time_of_day", "mean")
CLIPS = 60


def stamps(start: str, clips: int, step: str = "7h") -> np.ndarray:
    """Dates (clips, 5): half-hourly frames, clips that start ``step`` apart."""
    begin = pd.date_range(start, periods=clips, freq=step).to_numpy()
    return begin[:, None] + np.arange(SHAPE.length) * np.timedelta64(30, "m")


def seconds(dates: np.ndarray) -> Tensor:
    return torch.from_numpy(dates.astype("M8[s]").astype(np.int64))


def clips_of(number: int, seed: int = 0) -> Tensor:
    return torch.rand(number, SHAPE.length, *SHAPE.frame, generator=torch.Generator().manual_seed(seed))


def keys(dates: np.ndarray, groups: str, slots: int = 48) -> list[object]:
    """The group of each date, by pandas' own calendar."""
    series = pd.Series(pd.DatetimeIndex(dates.ravel()))
    slot = (series.dt.hour * 60 + series.dt.minute) // (1440 // slots)
    weekend = series.dt.day_name().isin(["Saturday", "Sunday"])
    return list(slot if groups == "time_of_day" else zip(weekend, slot, strict=True))


def oracle(clips: Tensor, dates: np.ndarray, wanted: np.ndarray, groups: str, slots: int) -> np.ndarray:
    """Means by a loop over wanted frames and over all training frames: (clips, T_out, C, H, W)."""
    frames = clips.double().flatten(0, 1).numpy()
    seen = keys(dates, groups, slots)
    out = []
    for key in keys(wanted, groups, slots):
        same = [frame for frame, other in zip(frames, seen, strict=True) if other == key]
        out.append(np.mean(same if same else frames, axis=0))
    return np.stack(out).reshape(len(wanted), SHAPE.t_out, *SHAPE.frame)


def fitted(clips: Tensor, dates: np.ndarray, **settings: object) -> Method:
    method = create_method("climatology", SHAPE, **settings)
    times = seconds(dates)
    method.fit_at([(clips[:7], times[:7]), (clips[7:], times[7:])])
    return method


def wanted_at(method: Method, dates: np.ndarray) -> np.ndarray:
    return method.predict_at(torch.zeros(SHAPE.past(len(dates))), seconds(dates)).numpy()


@pytest.mark.parametrize("groups", GROUPS[:2])
@pytest.mark.parametrize("slots", [48, 24, 6])
# a leap year's end of February; before 1970; a year without the 29th
@pytest.mark.parametrize("start", ["2016-02-25 00:00", "1969-12-20 13:00", "2015-02-27 00:00"])
def test_means_are_those_of_a_loop_over_frames(groups: str, slots: int, start: str) -> None:
    clips, dates = clips_of(CLIPS), stamps(start, CLIPS)
    method = fitted(clips, dates, groups=groups, slots=slots)
    later = stamps("2016-03-04 05:30", 20, "5h")
    expected = oracle(clips, dates, later[:, SHAPE.t_in :], groups, slots)
    np.testing.assert_allclose(wanted_at(method, later), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("date", "weekend"),
    [("1970-01-01", False), ("1970-01-03", True), ("2016-02-29", False), ("2016-02-28", True), ("1969-12-28", True)],
)
def test_weekends_of_known_days(date: str, weekend: bool) -> None:
    method = create_method("climatology", SHAPE)
    at_noon = seconds(np.array([f"{date}T12:00"], dtype="M8[m]"))
    assert method.group(at_noon).item() == 1 + 24 + 48 * weekend  # type: ignore[operator]


def test_a_slot_that_training_never_saw_is_the_mean_of_all() -> None:
    mondays = stamps("2016-02-29 08:00", 3, "7D")
    clips = clips_of(3)
    method = fitted(clips, mondays)
    everything = clips.double().mean(dim=(0, 1)).float().numpy()
    for unseen in ("2016-02-29 20:00", "2016-03-05 08:00"):
        for frame in wanted_at(method, stamps(unseen, 1))[0]:
            np.testing.assert_allclose(frame, everything, rtol=1e-6)
    assert not np.allclose(wanted_at(method, stamps("2016-03-21 08:00", 1))[0], everything, rtol=1e-2)


@pytest.mark.parametrize("groups", GROUPS)
def test_without_dates_it_is_exactly_the_mean(groups: str) -> None:
    clips = clips_of(9)
    method = create_method("climatology", SHAPE, groups=groups)
    method.fit_at([(clips[:4], None), (clips[4:], None)])
    expected = clips.double().mean(dim=(0, 1)).float().expand(2, SHAPE.t_out, *SHAPE.frame)
    past = torch.zeros(SHAPE.past(2))
    for seen in (method(past), method.predict_at(past, None), method.predict_at(past, seconds(stamps("2016", 2)))):
        assert torch.equal(seen, expected)


def test_the_mean_does_not_know_which_frames_had_dates() -> None:
    clips, dates = clips_of(8), seconds(stamps("2016-02-29", 8))
    method = create_method("climatology", SHAPE)
    method.fit_at([(clips[:4], dates[:4]), (clips[4:], None)])
    expected = clips.double().mean(dim=(0, 1)).float()
    torch.testing.assert_close(method(torch.zeros(SHAPE.past(1)))[0, 0], expected, rtol=1e-6, atol=0)


def test_sums_are_exact_where_float32_would_stop_counting() -> None:
    clips = torch.full((400, SHAPE.length, *SHAPE.frame), 16_777_216.0)
    clips[:, :, :, 0] = 1.0
    clips[0, :, :, 0] = 16_777_216.0
    method = create_method("climatology", SHAPE)
    method.fit([clips])
    expected = (16_777_216.0 + 399) / 400
    assert method(torch.zeros(SHAPE.past(1)))[0, 0, 0, 0, 0].item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("groups", GROUPS)
def test_weights_keep_every_mean_at_another_horizon_too(groups: str, tmp_path: Path) -> None:
    dates = stamps("2016-02-25", CLIPS)
    method = fitted(clips_of(CLIPS), dates, groups=groups)
    save_weights(tmp_path / "means.safetensors", method)
    longer = SHAPE.model_copy(update={"t_in": 1, "t_out": 4})
    for shape in (SHAPE, longer):
        other = create_method("climatology", shape, groups=groups)
        load_weights(tmp_path / "means.safetensors", other)
        seen = other.predict_at(torch.zeros(shape.past(CLIPS)), seconds(dates))
        assert torch.equal(seen[:, -3:], torch.from_numpy(wanted_at(method, dates)))


@pytest.mark.parametrize("slots", [0, 7, 2880])
def test_slots_must_divide_the_day(slots: int) -> None:
    with pytest.raises(UserError, match=f"slots = {slots}"):
        create_method("climatology", SHAPE, slots=slots)


@pytest.mark.parametrize("groups", GROUPS)
def test_missing_cells_do_not_count(groups: str) -> None:
    clips, dates = clips_of(CLIPS), stamps("2019-01-01", CLIPS)
    clips = clips.masked_fill(clips < 0.3, torch.nan)
    clips[..., 0, 0] = torch.nan
    method = create_method("climatology", SHAPE, groups=groups)
    half = CLIPS // 2
    method.fit_at([(clips[:half], seconds(dates[:half])), (clips[half:], seconds(dates[half:]))])
    frames = clips.double().flatten(0, 1).numpy()
    everything = np.nanmean(frames[..., 1:, :], axis=0)
    torch.testing.assert_close(method.means[0, :, 1:].double(), torch.from_numpy(everything))
    assert method.means.isfinite().all()
    rows = method.group(seconds(dates)).flatten().numpy()
    for row in set(rows.tolist()):
        own = frames[rows == row][:, :, 1]
        known = ~np.isnan(own).all(axis=0)
        expected = np.nanmean(own[:, known], axis=0)
        np.testing.assert_allclose(method.means[row, :, 1].numpy()[known], expected, rtol=1e-5)
