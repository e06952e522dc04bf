"""FSS, traffic, anomaly, sharpness and spectrum: the specification's worked values, and other libraries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stbench.metrics import area_weights, expand, latitude_weights
from stbench.metrics.spectrum import ring_power
from stbench.schema import ClipShape, Evaluation
from tests.metrics.scoring import frame, scores, totals

ORACLES = "pip install 'stbench[oracles]'"


def spots(*places: tuple[int, int]) -> torch.Tensor:
    field = torch.zeros(6, 6)
    for place in places:
        field[place] = 5
    return field


TRUE_SPOTS, PRED_SPOTS = spots((1, 1), (1, 2), (4, 4)), spots((2, 2), (2, 3), (4, 4))


def test_fractions_skill_score() -> None:
    found = totals(["fss@1w1", "fss@1w3", "fss@1w5"], frame(PRED_SPOTS), frame(TRUE_SPOTS))
    assert list(found.values()) == pytest.approx([0.333333, 0.666667, 0.880952], abs=5e-7)
    two = torch.stack([TRUE_SPOTS, torch.zeros(6, 6)])[:, None, None]
    assert totals(["fss@1w3"], PRED_SPOTS.expand(two.shape), two)["fss@1w3"] == pytest.approx(0.434109, abs=5e-7)
    nothing = torch.zeros(1, 1, 1, 6, 6)
    assert math.isnan(totals(["fss@1w3"], nothing, nothing)["fss@1w3"])


@pytest.mark.parametrize("window", [1, 3, 5, 9])
def test_fractions_against_pysteps(window: int) -> None:
    spatial = pytest.importorskip("pysteps.verification.spatialscores", reason="pip install pysteps")
    rng = np.random.default_rng(window)
    pred, true = (rng.random((3, 1, 1, 14, 11)).astype(np.float32) for _ in range(2))
    theirs = spatial.fss_init(0.69999, window)
    for p, t in zip(pred[:, 0, 0], true[:, 0, 0], strict=True):
        spatial.fss_accum(theirs, p.astype(float), t.astype(float))
    name = f"fss@0.7w{window}"
    ours = totals([name], torch.from_numpy(pred), torch.from_numpy(true))[name]
    assert ours == pytest.approx(spatial.fss_compute(theirs), abs=1e-9)


FLOW = torch.tensor([0, 0, 5, 12, 40, 100.0]).view(1, 1, 1, 1, 6)
GUESS = torch.tensor([1, 0, 7, 9, 50, 90.0]).view(1, 1, 1, 1, 6)


@pytest.mark.parametrize(
    ("above", "mape", "rmse", "mae"),
    [(0, 0.25, 7.29726, 6.25), (5, 0.2, 8.346656, 7.666667), (10, 0.2, 8.346656, 7.666667)],
)
def test_errors_above_a_flow(above: int, mape: float, rmse: float, mae: float) -> None:
    found = totals([f"mape_mask@{above}", f"rmse_mask@{above}", f"mae_mask@{above}"], GUESS, FLOW)
    assert list(found.values()) == pytest.approx([mape, rmse, mae], abs=5e-7)


def test_errors_of_counts() -> None:
    found = totals(["mae_physical", "rmse_physical", "wmape"], GUESS, FLOW)
    assert list(found.values()) == pytest.approx([4.333333, 5.972158, 0.165605], abs=5e-7)
    none = totals(["mape_mask@1000"], GUESS, FLOW)
    assert math.isnan(none["mape_mask@1000"])
    stated = Evaluation(metrics=("mape_mask", "wmape"), flow_threshold=10)
    assert expand(stated, ClipShape(t_in=1, t_out=1, channels=1, height=1, width=6)) == ("mape_mask@10", "wmape")


def test_masked_errors_against_scikit_learn_and_torchmetrics() -> None:
    from sklearn.metrics import mean_absolute_percentage_error

    regression = pytest.importorskip("torchmetrics.regression", reason=ORACLES)
    generator = torch.Generator().manual_seed(0)
    true = 30 * torch.rand(3, 2, 2, 5, 4, generator=generator) * (torch.rand(3, 2, 2, 5, 4, generator=generator) > 0.5)
    pred = true + torch.rand(true.shape, generator=generator)
    mask = true > 10
    found = totals(["mape_mask@10", "wmape"], pred, true)
    assert found["mape_mask@10"] == pytest.approx(mean_absolute_percentage_error(true[mask], pred[mask]), rel=1e-6)
    theirs = regression.WeightedMeanAbsolutePercentageError()(pred, true)
    assert found["wmape"] == pytest.approx(float(theirs), rel=1e-5)


NORMAL = torch.tensor([[270, 271, 272], [300, 301, 299], [275, 274, 276.0]])
PRED = torch.tensor([[[1, -2, 0], [0.5, 1, -1], [2, 0, -3]], [[0, 1, 1], [1, 1, 1], [1, 2, 0]]])[:, None, None] + NORMAL
TRUE = (
    torch.tensor([[[2, -1, 1], [0, 1, -0.5], [1, -1, -2]], [[0.5, 1, 0], [2, 0.5, 1], [0, 1, 1]]])[:, None, None]
    + NORMAL
)


def test_anomaly_correlation() -> None:
    weights = area_weights(torch.tensor([-60.0, 0, 60]))
    assert weights.tolist() == pytest.approx([0.75, 1.5, 0.75])
    given = {"row_areas": weights, "row_weights": weights, "normals": NORMAL.expand(PRED.shape)}
    names = ["acc", "acc_pooled", "rmse_area", "mae_area", "bias_area", "rmse_physical", "bias_physical"]
    found = scores(names, PRED, TRUE, **given)
    expected = {"acc": 0.789206, "acc_pooled": 0.789435, "rmse_area": 0.756913, "bias_area": -0.0625}
    assert {n: found[n].total for n in expected} == pytest.approx(expected, abs=5e-7)
    assert found["rmse_physical"].total == pytest.approx(0.816497, abs=5e-7)
    assert found["bias_physical"].total == pytest.approx(float((PRED - TRUE).mean()), abs=1e-5)
    assert totals(["acc"], PRED[:1], TRUE[:1], **given | {"normals": NORMAL.expand(1, 1, 1, 3, 3)})[
        "acc"
    ] == pytest.approx(0.830455, abs=5e-7)


def test_a_field_without_anomaly_is_left_out_and_counted() -> None:
    flat = PRED.clone()
    flat[1] = NORMAL
    found = scores(["acc"], flat, TRUE, normals=NORMAL.expand(PRED.shape))["acc"]
    alone = scores(["acc"], flat[:1], TRUE[:1], normals=NORMAL.expand(1, 1, 1, 3, 3))["acc"]
    assert (found.total, found.undefined) == (alone.total, 1)


@pytest.mark.parametrize("rows", [4, 32])
def test_areas_are_cosines_on_a_grid_of_cell_centres(rows: int) -> None:
    half = 90 / rows
    degrees = torch.linspace(-90 + half, 90 - half, rows, dtype=torch.float64)
    torch.testing.assert_close(area_weights(degrees), latitude_weights(degrees))


X, Y = torch.arange(8.0)[None, :], torch.arange(8.0)[:, None]
TURN = 2 * math.pi / 8
WAVES = torch.sin(TURN * X) + 0.5 * torch.cos(2 * TURN * Y) + 0.25 * torch.sin(3 * TURN * X)
SMOOTH = torch.sin(TURN * X) + 0.25 * torch.cos(2 * TURN * Y)


def test_sharpness() -> None:
    found = totals(["gdl", "sharpness_ratio"], frame(SMOOTH), frame(WAVES))
    assert list(found.values()) == pytest.approx([0.416624, 0.754113], abs=5e-7)
    low, high = WAVES.min(), WAVES.max()
    unit = [frame((x - low) / (high - low)) for x in (SMOOTH, WAVES)]
    assert totals(["sharpness_diff"], *unit)["sharpness_diff"] == pytest.approx(10.712488, abs=5e-6)


def test_spectrum() -> None:
    true, pred = (ring_power(frame(x), 3)[0, 0].tolist() for x in (WAVES, SMOOTH))
    assert true == pytest.approx([0, 4, 2 / 3, 0.125], abs=1e-6)
    assert pred == pytest.approx([0, 4, 1 / 6, 0], abs=1e-6)
    assert totals(["lsd@2"], frame(SMOOTH), frame(WAVES))["lsd@2"] == pytest.approx(4.257207, abs=5e-6)
    shape = ClipShape(t_in=1, t_out=1, channels=1, height=16, width=24)
    assert expand(Evaluation(metrics=("lsd",)), shape) == ("lsd@11",)


def test_spectra_are_averaged_before_the_ratio() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, true = (torch.rand(3, 2, 1, 8, 8, generator=generator) for _ in range(2))
    p, t = (ring_power(x, 3)[..., 1:].mean((0, 1)) for x in (pred, true))
    expected = (10 * (p / t).log10()).square().mean().sqrt()
    assert totals(["lsd@3"], pred, true)["lsd@3"] == pytest.approx(float(expected))


@pytest.mark.parametrize("size", [(8, 8), (16, 12), (9, 15)])
def test_spectrum_against_brute_force(size: tuple[int, int]) -> None:
    field = np.random.default_rng(0).random(size).astype(np.float32)
    power = np.abs(np.fft.fft2(field)) ** 2 / field.size
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    ring = np.rint(frequency * max(size))
    expected = [power[ring == k].mean() for k in range(4)]
    assert ring_power(frame(field), 3)[0, 0].numpy() == pytest.approx(expected, rel=1e-5)


def test_spectrum_against_pysteps() -> None:
    spectral = pytest.importorskip("pysteps.utils.spectral", reason="pip install pysteps")
    field = np.random.default_rng(1).random((16, 16)).astype(np.float32)
    theirs = spectral.rapsd(field, fft_method=np.fft)
    assert ring_power(frame(field), len(theirs) - 1)[0, 0].numpy() == pytest.approx(theirs, rel=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_what_does_not_change_under_scaling(seed: int, factor: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    pred, true = (torch.rand(1, 1, 1, 6, 6, generator=generator) for _ in range(2))
    names = ["sharpness_ratio", "lsd@2", "wmape"]
    assert totals(names, factor * pred, factor * true) == pytest.approx(totals(names, pred, true), rel=1e-4)
