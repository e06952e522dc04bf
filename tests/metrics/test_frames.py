from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics import (
    METRICS,
    MetricAccumulator,
    frame_statistics,
    frame_values,
    get_metric,
    latitude_weights,
    statistics,
)
from stbench.schema import Scaling
from tests.metrics.cases import KINDS, frames, per_frame

SHARED = [name for name in METRICS.names() if get_metric(name).shared]
PIXEL = ["mse_frame", "mae_frame", "rmse_frame", "mse_pixel", "mae_pixel", "rmse_pixel"]


def clipped(x: Any) -> Any:
    return np.clip(x, 0, 1)


def capped(decibels: float) -> float:
    """Within ±100 dB; NaN, of frames with one, stays."""
    return decibels if np.isnan(decibels) else max(-100.0, min(100.0, decibels))


def signal_to_noise(pred: Any, true: Any) -> float:
    """Equal frames have no noise, whatever their signal."""
    noise = np.sum((true - pred) ** 2)
    return np.inf if noise == 0 else 10 * np.log10(np.sum(true**2) / noise)


ORACLES = {
    "mse_frame": lambda p, t: sum((a - b) ** 2 for a, b in zip(p.flat, t.flat, strict=True)),
    "mae_frame": lambda p, t: sum(abs(a - b) for a, b in zip(p.flat, t.flat, strict=True)),
    "rmse_frame": lambda p, t: np.sqrt(np.sum((p - t) ** 2)),
    "mse_pixel": mean_squared_error,
    "mae_pixel": lambda p, t: np.abs(p - t).mean(),
    "rmse_pixel": lambda p, t: np.sqrt(mean_squared_error(p, t)),
    "psnr": lambda p, t: capped(peak_signal_noise_ratio(clipped(t), clipped(p), data_range=1.0)),
    "snr": lambda p, t: capped(signal_to_noise(clipped(p), clipped(t))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 3, 1, 12, 9), (1, 2, 3, 8, 7)])
def test_against_loops(kind: str, shape: tuple[int, ...]) -> None:
    pred, true = frames(kind, shape)
    values = frame_values(list(ORACLES), pred, true, data_range=1.0)
    for name, oracle in ORACLES.items():
        expected = per_frame(oracle, pred, true)
        torch.testing.assert_close(values[name], expected, rtol=1e-12, atol=1e-14, equal_nan=True, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_values_are_float64_and_do_not_depend_on_the_other_metrics(dtype: torch.dtype) -> None:
    pred, true = (x.to(dtype) for x in frames("overshoot", (2, 2, 2, 9, 9)))
    together = frame_values(SHARED, pred, true, data_range=1.0)
    for name, value in together.items():
        assert value.dtype == torch.float64
        assert value.shape == (2, 2)
        alone = frame_values([name], pred, true, data_range=1.0)[name]
        torch.testing.assert_close(alone, value, rtol=1e-13, atol=0)


def test_equal_frames_score_the_cap_and_a_similarity_of_one() -> None:
    pred, true = frames("equal", (1, 2, 1, 8, 8))
    pred[0, 1] += 0.01
    values = frame_values(["psnr", "snr", "ssim", "mse_frame"], pred, true, data_range=1.0)
    assert values["psnr"][0, 0] == values["snr"][0, 0] == 100
    assert values["psnr"][0, 1] < 41
    assert values["ssim"][0, 0] == 1
    assert values["mse_frame"][0, 0] == 0


def test_an_empty_frame_has_a_signal_to_noise_ratio_within_the_cap() -> None:
    true = torch.zeros(1, 2, 1, 8, 8)
    pred = true.clone()
    pred[0, 1] = 0.1
    assert frame_values(["snr"], pred, true, data_range=1.0)["snr"].tolist() == [[100, -100]]


def test_pooled_psnr_is_that_of_the_mean_error() -> None:
    """Errors of 0.1 and 0.01: 20 dB and 40 dB, whose mean is 30; the mean error has 22.967086 dB."""
    true = torch.full((2, 1, 1, 8, 8), 0.5, dtype=torch.float64)
    pred = true + torch.tensor([0.1, 0.01], dtype=torch.float64)[:, None, None, None, None]
    accumulator = MetricAccumulator(["psnr", "psnr_pooled"], 1, data_range=1.0)
    accumulator.update(frame_statistics(["psnr", "psnr_pooled"], pred, true, data_range=1.0))
    scores = accumulator.compute()
    assert scores["psnr"].total == pytest.approx(30.0)
    assert scores["psnr_pooled"].total == pytest.approx(22.967086, abs=1e-6)


def test_one_perfect_frame_leaves_the_mean_finite() -> None:
    true = torch.full((2, 1, 1, 8, 8), 0.5, dtype=torch.float64)
    pred = true.clone()
    pred[1] += 0.1
    accumulator = MetricAccumulator(["psnr", "psnr_pooled"], 1, data_range=1.0)
    accumulator.update(frame_statistics(["psnr", "psnr_pooled"], pred, true, data_range=1.0))
    scores = accumulator.compute()
    assert scores["psnr"].total == pytest.approx((100 + 20) / 2)
    assert scores["psnr_pooled"].total == pytest.approx(20 + 10 * np.log10(2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_frame_with_a_bad_value_leaves_the_others_alone(bad: float) -> None:
    pred, true = frames("random", (3, 4, 2, 10, 11))
    before = frame_values(SHARED, pred, true, data_range=1.0)
    for corner in [(0, 0), (9, 10), (5, 5)]:
        broken = pred.clone()
        broken[1, 2, 1][corner] = bad
        after = frame_values(SHARED, broken, true, data_range=1.0)
        for name, value in after.items():
            spared = torch.ones(3, 4, dtype=torch.bool)
            spared[1, 2] = False
            assert torch.equal(value[spared], before[name][spared]), name
            if np.isnan(bad):
                assert value[1, 2].isnan(), name


def test_data_range_is_the_peak() -> None:
    pred, true = frames("overshoot", (1, 2, 1, 9, 9))
    unit = frame_values(["psnr", "snr", "ssim", "ssim_legacy"], pred, true, data_range=1.0)
    wide = frame_values(["psnr", "snr", "ssim", "ssim_legacy"], 255 * pred, 255 * true, data_range=255.0)
    for name, value in wide.items():
        torch.testing.assert_close(value, unit[name], rtol=1e-12, atol=1e-12, msg=name)


def test_z_scores_are_scored_after_they_are_taken_back() -> None:
    pred, true = frames("random", (2, 2, 1, 8, 8))
    mean, std = 0.3, 0.7
    values = frame_values(["mse_frame"], pred * std + mean, true * std + mean, data_range=None)
    expected = frame_values(["mse_frame"], pred, true, data_range=None)["mse_frame"] * std**2
    torch.testing.assert_close(values["mse_frame"], expected)


def test_z_scores_of_several_channels_are_scored_in_their_units() -> None:
    """Each channel has a mean and std of its own: model space scores the z-scores, physical the kelvins."""
    pred, true = (x.float() for x in frames("overshoot", (2, 3, 2, 9, 8)))
    scaling = Scaling(offset=(280.0, -5.0), scale=(20.0, 3.0))
    physical = scaling.to_physical(pred), scaling.to_physical(true)
    values = frame_values(["mse_pixel", "rmse_physical"], pred, true, data_range=None, physical=physical)
    std = np.array([20.0, 3.0])[:, None, None]
    rmse = per_frame(lambda p, t: np.sqrt(((std * (p.astype(float) - t)) ** 2).mean()), pred, true)
    torch.testing.assert_close(values["rmse_physical"], rmse, rtol=1e-5, atol=0)
    plain = per_frame(lambda p, t: ((p.astype(float) - t) ** 2).mean(), pred, true)
    torch.testing.assert_close(values["mse_pixel"], plain, rtol=1e-6, atol=0)


def test_gradients_and_strides_are_no_obstacle() -> None:
    pred, true = frames("random", (2, 2, 3, 9, 8))
    moved = pred.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3).requires_grad_()
    values = frame_values(["ssim", "mse_frame"], moved, true, data_range=1.0)
    for name, value in frame_values(["ssim", "mse_frame"], pred, true, data_range=1.0).items():
        torch.testing.assert_close(values[name], value)
        assert not values[name].requires_grad


@pytest.mark.parametrize("chunk", [1, 700, 1 << 20])
def test_the_size_of_chunks_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pred, true = frames("overshoot", (3, 5, 2, 13, 9))
    expected = frame_values(SHARED, pred, true, data_range=1.0)
    monkeypatch.setattr(statistics, "CHUNK_CPU", chunk)
    for name, value in frame_values(SHARED, pred, true, data_range=1.0).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-13, atol=0)


def test_shapes_that_cannot_be_compared() -> None:
    pred, true = frames("random", (2, 2, 1, 8, 8))
    with pytest.raises(UserError, match=r"\(2, 2, 1, 8, 8\) and true frames \(2, 1, 1, 8, 8\)"):
        frame_values(["mse_frame"], pred, true[:, :1], data_range=None)
    with pytest.raises(UserError, match="not empty"):
        frame_values(["mse_frame"], pred[:0], true[:0], data_range=None)


def test_physical_errors_with_row_weights() -> None:
    pred, true = frames("random", (2, 3, 2, 4, 5))
    weights = latitude_weights(torch.tensor([-60.0, 0.0, 60.0, 80.0]))
    values = frame_values(
        ["mae_physical", "mse_physical", "rmse_physical", "mae_latitude", "rmse_latitude", "mse_pixel"],
        pred,
        true,
        data_range=None,
        physical=(pred * 10, true * 10),
        row_weights=weights,
    )
    rows = np.cos(np.deg2rad([-60.0, 0.0, 60.0, 80.0]))
    rows = (rows / rows.mean())[:, None]
    for kind, weight in (("physical", np.ones((4, 1))), ("latitude", rows)):
        mae = per_frame(lambda p, t, w=weight: 10 * (w * np.abs(p - t)).mean(), pred, true)
        rmse = per_frame(lambda p, t, w=weight: 10 * np.sqrt((w * (p - t) ** 2).mean()), pred, true)
        torch.testing.assert_close(values[f"mae_{kind}"], mae)
        torch.testing.assert_close(values[f"rmse_{kind}"], rmse)
    torch.testing.assert_close(values["mse_physical"], per_frame(lambda p, t: 100 * ((p - t) ** 2).mean(), pred, true))
    assert weights.mean().item() == pytest.approx(1)


def test_physical_metrics_ask_for_physical_frames() -> None:
    pred, true = frames("random", (1, 1, 1, 4, 5))
    with pytest.raises(UserError, match="physical="):
        frame_values(["mae_physical"], pred, true, data_range=None)
    with pytest.raises(UserError, match="do not match the model-space frames"):
        frame_values(["mae_physical"], pred, true, data_range=None, physical=(pred[..., :2], true[..., :2]))
    with pytest.raises(UserError, match=r"weights \(5,\) do not match frames of 4 rows"):
        frame_values(["mae_latitude"], pred, true, data_range=None, physical=(pred, true), row_weights=torch.ones(5))


NAMES_IN_REFERENCE = {
    "mse_frame": "mse",
    "mae_frame": "mae",
    "rmse_frame": "rmse",
    "psnr": "psnr",
    "snr": "snr",
    "ssim": "ssim_new_channel_axis-1_data_range1",
    "ssim_legacy": "ssim_new_channel_axis-1_data_range2",
}


@pytest.mark.parametrize("double", [False, True])
def test_reference_values(shared_dir: Path, double: bool) -> None:
    cases: dict[str, Any] = torch.load(shared_dir / "reference" / "metrics.pt", weights_only=True)
    for case in cases.values():
        pred, true = (x.double() if double else x for x in physical_space(case))
        accumulator = MetricAccumulator(list(NAMES_IN_REFERENCE), pred.shape[1], data_range=1.0)
        accumulator.update(frame_statistics(accumulator.names, pred, true, data_range=1.0))
        for name, score in accumulator.compute().items():
            assert score.total == pytest.approx(case["values"][NAMES_IN_REFERENCE[name]], rel=1e-6), name


def physical_space(case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    mean, std = (case["mean"] or 0.0), (case["std"] or 1.0)
    return case["pred"] * std + mean, case["true"] * std + mean
