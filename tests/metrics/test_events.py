"""Event scores: the specification's worked values, other libraries, and identities that hold for any fields."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stbench.errors import UserError
from stbench.metrics import expand, get_metric
from stbench.schema import ClipShape, Evaluation, Scaling
from tests.metrics.scoring import frame, scores, totals

OBS = frame([[0, 16, 74, 133], [20, 80, 140, 160], [75, 150, 181, 219], [10, 15, 230, 255]])
FCT = frame([[0, 10, 80, 120], [16, 74, 133, 170], [60, 160, 185, 200], [0, 20, 219, 240]])
LEVELS = "16/74/133/160/181/219"
KINDS = ("csi", "pod", "far", "bias", "hss", "ets", "f1", "pofd")
WORKED = {
    16: (0.857143, 0.923077, 0.076923, 1, 0.589744, 0.418182, 0.923077, 0.333333),
    74: (0.909091, 0.909091, 0, 0.909091, 0.862069, 0.757576, 0.952381, 0),
    133: (0.875, 0.875, 0, 0.875, 0.875, 0.777778, 0.933333, 0),
    160: (0.833333, 1, 0.166667, 1.2, 0.862069, 0.757576, 0.909091, 0.090909),
    181: (1, 1, 0, 1, 1, 1, 1, 0),
    219: (0.666667, 0.666667, 0, 0.666667, 0.764706, 0.619048, 0.8, 0),
}
SHAPE = ClipShape(t_in=1, t_out=1, channels=1, height=4, width=4)


@pytest.mark.parametrize("threshold", WORKED)
def test_worked_values(threshold: int) -> None:
    found = totals([f"{kind}@{threshold}" for kind in KINDS], FCT, OBS)
    assert tuple(found.values()) == pytest.approx(WORKED[threshold], abs=5e-7)


def test_means_over_thresholds() -> None:
    found = totals([f"csi_m@{LEVELS}", f"hss_m@{LEVELS}"], FCT, OBS)
    assert list(found.values()) == pytest.approx([0.856872, 0.825598], abs=5e-7)


def test_sums_come_before_the_ratio_and_lead_times_before_their_mean() -> None:
    hits, misses, alarms = (3, 1), (1, 2), (0, 2)
    pred, true = torch.zeros(1, 2, 1, 1, 8), torch.zeros(1, 2, 1, 1, 8)
    for lead in range(2):
        h, m, f = hits[lead], misses[lead], alarms[lead]
        true[0, lead, 0, 0, : h + m] = 5
        pred[0, lead, 0, 0, m : h + m + f] = 5
    found = scores(["csi@5", "csi_lead@5"], pred, true)
    assert found["csi@5"].total == pytest.approx(4 / 9)
    assert found["csi_lead@5"].total == pytest.approx(0.475)
    assert found["csi@5"].lead_times == pytest.approx((0.75, 0.2))


def test_blocks() -> None:
    true, pred = torch.zeros(8, 8), torch.zeros(8, 8)
    true[1, 1], true[1, 2], true[6, 6] = 200, 90, 140
    pred[3, 3], pred[0, 5], pred[7, 7] = 190, 80, 150
    found = totals(["csi@74", "csi_pool4@74", "csi_m_pool4@74"], frame(pred), frame(true))
    assert list(found.values()) == pytest.approx([0, 2 / 3, 2 / 3])
    assert get_metric("csi_pool16@74").unavailable((1, 8, 8)) == "blocks of 16×16 cells do not fit frames of 8×8"


def test_a_score_without_events_is_undefined_not_zero() -> None:
    nothing = torch.zeros(2, 3, 1, 4, 4)
    some = nothing.clone()
    some[0, 0] = 9
    found = scores(["csi@5", "pod@5", "far@5", "csi_lead@5", "bias@5"], nothing, some)
    assert found["csi@5"].total == 0
    assert found["csi@5"].undefined == 5
    assert math.isnan(found["csi@5"].lead_times[1])
    assert math.isnan(found["far@5"].total)  # no event was predicted
    assert math.isnan(found["csi_lead@5"].total)  # no event at two lead times
    assert math.isnan(scores(["bias@5"], some, nothing)["bias@5"].total)


def test_a_true_value_at_the_threshold_is_an_event_after_scaling_and_back() -> None:
    stored = np.arange(256, dtype=np.float32)
    scaling = Scaling(offset=(3.0,), scale=(255.0,))
    model = torch.from_numpy((stored - np.float32(3.0)) / np.float32(255.0)).view(1, 1, 1, 16, 16)
    for level in (16, 74, 133, 160, 181, 219):
        statistics = totals([f"bias@{level}"], torch.ones_like(model), model, scaling=scaling)
        assert statistics[f"bias@{level}"] == pytest.approx(256 / (256 - level))


def test_thresholds_come_from_the_protocol() -> None:
    stated = Evaluation(metrics=("mse_frame", "csi", "csi_m", "fss"), thresholds=(0.1, 5.0), windows=(3, 9))
    assert expand(stated, SHAPE) == (
        *("mse_frame", "csi@0.1", "csi@5", "csi_m@0.1/5", "fss@0.1w3", "fss@0.1w9", "fss@5w3", "fss@5w9"),
    )
    with pytest.raises(UserError, match=r"'csi' needs evaluation.thresholds.*csi@5"):
        expand(Evaluation(metrics=("csi",)), SHAPE)
    assert expand(Evaluation(metrics=("csi@16.0",)), SHAPE) == ("csi@16",)


@pytest.mark.parametrize("name", ["csi@high", "csi@nan", "fss@5", "fss@5w4", "lsd@0", "mse_frame@3"])
def test_arguments_that_make_no_sense(name: str) -> None:
    with pytest.raises(UserError, match=r"expected|takes no argument"):
        get_metric(name)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_identities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred, true = (torch.from_numpy(rng.integers(0, 9, (2, 1, 1, 5, 5)).astype(np.float32)) for _ in range(2))
    found = totals([f"{kind}@4" for kind in (*KINDS, "sucr")], pred, true)
    swapped = totals(["csi@4", "pod@4", "sucr@4"], true, pred)
    assert found["csi@4"] == pytest.approx(found["f1@4"] / (2 - found["f1@4"]))
    assert found["hss@4"] == pytest.approx(2 * found["ets@4"] / (1 + found["ets@4"]), nan_ok=True)
    assert found["sucr@4"] == pytest.approx(1 - found["far@4"])
    assert swapped["csi@4"] == found["csi@4"]
    assert (swapped["pod@4"], swapped["sucr@4"]) == (found["sucr@4"], found["pod@4"])


def test_counts_sum_to_all_cells() -> None:
    from stbench.metrics.contingency import count_events
    from stbench.metrics.frames import Frames

    for pool, cells in ((1, 16), (3, 1)):
        assert float(sum(count_events(Frames(FCT, OBS), 74, pool))) == cells


def test_against_scores() -> None:
    categorical = pytest.importorskip("scores.categorical", reason="pip install 'stbench[oracles]'")
    xarray = pytest.importorskip("xarray")
    rng = np.random.default_rng(0)
    pred, true = (rng.gamma(1.0, 40.0, (3, 2, 1, 12, 9)).astype(np.float32) for _ in range(2))
    operator = categorical.ThresholdEventOperator(default_event_threshold=74)
    table = operator.make_contingency_manager(*(xarray.DataArray(x.ravel(), dims="cell") for x in (pred, true)))
    theirs = {
        "csi@74": table.transform().critical_success_index(),
        "pod@74": table.transform().hit_rate(),
        "far@74": table.transform().false_alarm_ratio(),
        "bias@74": table.transform().frequency_bias(),
        "f1@74": table.transform().f1_score(),
        "hss@74": table.transform().heidke_skill_score(),
        "ets@74": table.transform().gilberts_skill_score(),
        "pofd@74": table.transform().false_alarm_rate(),
        "sucr@74": table.transform().success_ratio(),
    }
    found = totals(list(theirs), torch.from_numpy(pred), torch.from_numpy(true))
    for name, value in theirs.items():
        assert found[name] == pytest.approx(float(value), abs=1e-12), name


def test_against_torchmetrics() -> None:
    regression = pytest.importorskip("torchmetrics.regression", reason="pip install 'stbench[oracles]'")
    generator = torch.Generator().manual_seed(0)
    pred, true = (torch.rand(4, 3, 1, 7, 7, generator=generator) for _ in range(2))
    pooled = regression.CriticalSuccessIndex(0.6)
    by_lead = regression.CriticalSuccessIndex(0.6, keep_sequence_dim=1)
    found = scores(["csi@0.6", "csi_lead@0.6"], pred, true)
    assert found["csi@0.6"].total == pytest.approx(float(pooled(pred, true)), abs=1e-6)
    assert found["csi@0.6"].lead_times == pytest.approx(by_lead(pred, true).tolist(), abs=1e-6)
    assert found["csi_lead@0.6"].total == pytest.approx(float(by_lead(pred, true).mean()), abs=1e-6)
