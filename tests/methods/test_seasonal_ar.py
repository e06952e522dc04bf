"""Seasonal autoregression: coefficients of known processes, ordinary least squares by numpy, dates, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stbench import ClipShape, Method, create_method
from stbench.conformance.subject import benchmark_of
from stbench.nn import METHODS

SHAPE = ClipShape(t_in=3, t_out=2, channels=2, height=2, width=3)
HOUR, DAY = 3600, 86400


def fitted(clips: Tensor, times: Tensor | None = None, shape: ClipShape = SHAPE, **settings: Any) -> Method:
    """Fitted in uneven batches."""
    method = create_method("seasonal_ar", shape, **settings)
    parts = [slice(0, 7), slice(7, 8), slice(8, None)]
    method.fit_at([(clips[part], None if times is None else times[part]) for part in parts])
    return method


def hourly(clips: int, step: int = HOUR) -> Tensor:
    """Times (clips, L) of hourly frames; clips begin ``step`` seconds apart."""
    return step * torch.arange(clips)[:, None] + HOUR * torch.arange(SHAPE.length)


def test_coefficients_of_a_known_process() -> None:
    """x_t = 0.6 x_{t−1} − 0.3 x_{t−2} + noise: two leads follow from its two coefficients."""
    generator = torch.Generator().manual_seed(0)
    series = torch.zeros(20_003, *SHAPE.frame)
    for t in range(2, len(series)):
        noise = torch.randn(SHAPE.frame, generator=generator)
        series[t] = 0.6 * series[t - 1] - 0.3 * series[t - 2] + noise
    clips = torch.stack([series[k : k + SHAPE.length] for k in range(0, len(series) - SHAPE.length, 5)])
    found = fitted(clips, ridge=0.0).coefficients
    one, two = 0.6**2 - 0.3, 0.6 * -0.3
    expected = torch.tensor([[0.0, -0.3, 0.6], [0.0, two, one]])[:, :, None, None, None].expand_as(found)
    assert (found - expected).abs().max() < 0.08  # twelve pixels, 4000 clips: standard error 0.016
    assert (found - expected).mean(dim=(2, 3, 4)).abs().max() < 0.02


def test_a_process_without_noise_is_predicted_exactly() -> None:
    """Sines with a mean: three past values decide the next; each pixel has a frequency of its own."""
    frequency = torch.linspace(0.3, 1.9, 12, dtype=torch.float64).reshape(SHAPE.frame)
    start = 50 * torch.rand(60, 1, *SHAPE.frame, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    time = torch.arange(SHAPE.length)[:, None, None, None]
    clips = 3 + torch.sin(frequency * time + start)
    method = fitted(clips, ridge=0.0).double()
    torch.testing.assert_close(method(clips[:, :3]), clips[:, 3:], rtol=0, atol=2e-4)


def least_squares(clips: np.ndarray, groups: list[int], ridge: float) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """One pixel by a design matrix with a column per group; the penalty is on the lags alone."""
    levels = sorted(set(groups))
    dummies = np.array([[float(g == level) for level in levels] for g in groups])
    past, future = clips[:, : SHAPE.t_in], clips[:, SHAPE.t_in :]
    within = past - dummies @ np.linalg.lstsq(dummies, past, rcond=None)[0]
    penalty = ridge * (within**2).sum() / SHAPE.t_in
    design = np.hstack([past, dummies])
    weights = np.diag([penalty] * SHAPE.t_in + [0.0] * len(levels))
    solution = np.linalg.solve(design.T @ design + weights, design.T @ future)
    return solution[: SHAPE.t_in], dict(zip(levels, solution[SHAPE.t_in :], strict=True))


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("grouping", ["weekday_time_of_day", "time_of_day", "mean"])
def test_least_squares_with_seasonal_dummies(grouping: str, ridge: float) -> None:
    clips = torch.rand(400, SHAPE.length, *SHAPE.frame, generator=torch.Generator().manual_seed(3))
    times = hourly(400, step=7 * HOUR)
    origin = times[:, SHAPE.t_in - 1]
    hours = (origin % DAY // (4 * HOUR)).tolist()
    weekend = ((origin // DAY + 3) % 7 >= 5).tolist()
    groups = {
        "weekday_time_of_day": [h + 6 * w for h, w in zip(hours, weekend, strict=True)],
        "time_of_day": hours,
        "mean": [0] * 400,
    }[grouping]
    clips += 0.2 * torch.tensor(groups)[:, None, None, None, None]
    method = fitted(clips, times, groups=grouping, slots=6, ridge=ridge)
    predicted = method.predict_at(clips[:20, : SHAPE.t_in], times[:20]).numpy()
    for c, h, w in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        lags, intercepts = least_squares(clips[:, :, c, h, w].double().numpy(), groups, ridge)
        np.testing.assert_allclose(method.coefficients[:, :, c, h, w].numpy().T, lags, rtol=1e-4, atol=1e-5)
        expected = [clips[n, : SHAPE.t_in, c, h, w].numpy() @ lags + intercepts[groups[n]] for n in range(20)]
        np.testing.assert_allclose(predicted[:, :, c, h, w], expected, rtol=1e-4, atol=1e-5)


def test_a_season_that_no_past_frame_shows() -> None:
    """Noise around a daily curve: with dates the forecast is the curve, without them it is not."""
    times = hourly(900)
    curve = torch.sin(2 * torch.pi * (times % DAY) / DAY)[:, :, None, None, None]
    noise = torch.randn(900, SHAPE.length, *SHAPE.frame, generator=torch.Generator().manual_seed(0))
    clips = 3 * curve + noise
    dated, blind = fitted(clips, times, groups="time_of_day", slots=24), fitted(clips)
    past, true = clips[:, : SHAPE.t_in], 3 * curve[:, SHAPE.t_in :]
    with_dates, without = ((frames - true).square().mean() for frames in (dated.predict_at(past, times), blind(past)))
    assert with_dates < 0.1
    assert without > 3 * with_dates


def test_a_group_that_training_never_saw_has_the_intercept_of_all() -> None:
    clips = torch.rand(30, SHAPE.length, *SHAPE.frame)
    clips[15:] += 1
    times = hourly(30, step=7 * DAY)
    times[15:] += 5 * HOUR
    method = fitted(clips, times)
    past = clips[:2, : SHAPE.t_in]
    torch.testing.assert_close(method.predict_at(past, times[:2] + 9 * HOUR), method(past))
    for seen, sign in ((times[:2], -1), (times[15:17], 1)):
        assert ((method.predict_at(past, seen) - method(past)) * sign > 0).all()


def test_gaps_leave_out_their_clip_at_their_pixel_alone() -> None:
    clips = torch.rand(40, SHAPE.length, *SHAPE.frame)
    whole = fitted(clips)
    torn = clips.clone()
    torn[3, 1, 0, 0, 0] = float("nan")
    torn[5:, 4, 1, 1, 2] = float("inf")
    method = fitted(torn)
    same = torch.ones(SHAPE.frame, dtype=torch.bool)
    same[0, 0, 0] = same[1, 1, 2] = False
    torch.testing.assert_close(method.coefficients[..., same], whole.coefficients[..., same])
    left = fitted(torch.cat([clips[:3], clips[4:]]))
    torch.testing.assert_close(method.coefficients[:, :, 0, 0, 0], left.coefficients[:, :, 0, 0, 0])
    torch.testing.assert_close(method.intercepts[0, :, 0, 0, 0], left.intercepts[0, :, 0, 0, 0])
    assert method.intercepts.isfinite().all()


def test_a_pixel_that_never_changes_stays() -> None:
    clips = torch.rand(30, SHAPE.length, *SHAPE.frame)
    clips[:, :, 0] = 0.0
    clips[:, :, 1, 0] = 7.0
    future = fitted(clips, ridge=0.0)(clips[:, : SHAPE.t_in])
    assert not future[:, :, 0].any()
    torch.testing.assert_close(future[:, :, 1, 0], torch.full_like(future[:, :, 1, 0], 7.0))


def test_large_frames_are_one_group() -> None:
    small, large = SHAPE, SHAPE.model_copy(update={"height": 1024, "width": 1024})
    method = METHODS.get("seasonal_ar")
    assert method.adapt(benchmark_of(small)) == {}
    assert method.adapt(benchmark_of(large)) == {"groups": "mean"}


def test_nothing_is_known_before_it_is_fitted() -> None:
    assert create_method("seasonal_ar", SHAPE)(torch.rand(SHAPE.past(2))).isnan().all()
