"""Missing cells of the truth: a metric equals itself on the frames without them. Axes: B, T, C, H, W."""

import pytest
import torch
from torch import Tensor

from stbench.metrics import METRICS, MetricAccumulator, area_weights, frame_statistics, get_metric, latitude_weights
from stbench.metrics.ensembles import rank_histogram
from stbench.schema import ClipShape, Evaluation, Scaling

KEPT, WIDTH, HEIGHT = 32, 48, 32
NAN = float("nan")
SETTINGS = Evaluation(metrics=("mse_frame",), thresholds=(45.0, 55.0), windows=(3,), flow_threshold=45.0)
SHAPE = ClipShape(t_in=1, t_out=2, channels=2, height=HEIGHT, width=WIDTH)
SUMS = {"mse_frame": 1.0, "mae_frame": 1.0, "rmse_frame": 0.5}
"""Sums over a frame grow with its cells by this power: known cells stand for the whole frame."""
ABLE = [name for name in METRICS.names() if get_metric(name).leaves_out_missing]
COMPLETE = {"ssim", "ssim_legacy", "lpips_alex", "lpips_vgg", "lpips_squeeze", "gdl", "sharpness_ratio"}
COMPLETE |= {"sharpness_diff", "lsd", "fd_lpips_alex", "fvd"}


def fields() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(3, 2, 2, HEIGHT, WIDTH, generator=generator)
    return (true + 0.3 * (torch.rand(true.shape, generator=generator) - 0.5)).clip(0, 1), true


def score(name: str, pred: Tensor, true: Tensor) -> float:
    degrees = torch.linspace(80.0, -30.0, HEIGHT)
    found = frame_statistics(
        [name],
        pred,
        true,
        data_range=1.0,
        scaling=Scaling(scale=(100.0,)),
        row_weights=latitude_weights(degrees),
        row_areas=area_weights(degrees),
        normals=torch.full_like(pred, 40.0),
        members=torch.stack([pred + 0.02, pred - 0.02]),
    )
    accumulator = MetricAccumulator([name], 2, 1.0)
    accumulator.update(found)
    return accumulator.compute()[name].total


@pytest.mark.parametrize("name", ABLE)
def test_a_score_is_that_of_the_known_part(name: str) -> None:
    pred, true = fields()
    column = get_metric(name).columns(SETTINGS, SHAPE)[0]
    holed = true.clone()
    holed[..., KEPT:] = NAN
    expected = score(column, pred[..., :KEPT], true[..., :KEPT]) * (WIDTH / KEPT) ** SUMS.get(name, 0.0)
    assert score(column, pred, holed) == pytest.approx(expected, rel=1e-5)


def test_metrics_that_need_every_cell_are_those_of_windows_gradients_and_spectra() -> None:
    assert {name for name in METRICS.names() if name not in ABLE} == COMPLETE


def test_frames_without_any_true_value_enter_no_mean() -> None:
    pred, true = fields()
    true[1, 0] = NAN
    names = ["mse_frame", "rmse_pixel", "csi@50"]
    scored = (~true.isnan()).flatten(2).any(-1)
    found = frame_statistics(names, pred, true, data_range=1.0, scaling=Scaling(scale=(100.0,)))
    accumulator = MetricAccumulator(names, 2, 1.0)
    accumulator.update(found, scored)
    scores = accumulator.compute()
    error = (pred - true).square()
    frames = torch.stack([error[b, t] for b in range(3) for t in range(2) if (b, t) != (1, 0)])
    assert scores["mse_frame"].total == pytest.approx(float(frames.sum((1, 2, 3)).mean()), rel=1e-6)
    assert scores["mse_frame"].lead_times[0] == pytest.approx(float(error[[0, 2], 0].sum((1, 2, 3)).mean()), rel=1e-6)
    assert scores["rmse_pixel"].total == pytest.approx(float(frames.mean().sqrt()), rel=1e-6)
    assert scores["mse_frame"].undefined == 0


def test_a_lead_time_without_any_truth_is_nan_and_the_total_stands() -> None:
    pred, true = fields()
    true[:, 1] = NAN
    accumulator = MetricAccumulator(["mae_pixel"], 2, 1.0)
    found = frame_statistics(["mae_pixel"], pred, true, data_range=1.0)
    accumulator.update(found, (~true.isnan()).flatten(2).any(-1))
    found_score = accumulator.compute()["mae_pixel"]
    assert found_score.total == pytest.approx(float((pred - true)[:, 0].abs().mean()), rel=1e-6)
    assert found_score.lead_times[1] != found_score.lead_times[1]


def test_a_nan_in_a_prediction_still_shows() -> None:
    pred, true = fields()
    true[0, 0, 0, 0, 0] = NAN
    pred[0, 0, 0, 5, 5] = NAN
    for name in ("mse_frame", "psnr", "csi@50"):
        (first, *_) = frame_statistics([name], pred, true, data_range=1.0, scaling=Scaling(scale=(100.0,)))[name]
        assert first.isnan().nonzero().tolist() == [[0, 0]]


def test_windows_that_hold_a_missing_cell_have_no_value() -> None:
    pred, true = fields()
    true[0, 1, 0, 3, 3] = NAN
    found = frame_statistics(["ssim", "gdl"], pred, true, data_range=1.0)
    for (values,) in found.values():
        assert values.isnan().nonzero().tolist() == [[0, 1]]


def test_ranks_of_missing_cells_are_not_counted() -> None:
    members = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    assert rank_histogram(members, torch.tensor([2.0, NAN])).tolist() == [0, 1, 0]
