"""Worked values of the metrics' specification that the tests of single families do not hold."""

import numpy as np
import pytest
import torch

from stbench.metrics import area_weights, frame_values, latitude_weights
from stbench.metrics.contingency import largest
from stbench.metrics.ensembles import crps
from stbench.schema import Scaling
from tests.metrics.scoring import frame, totals
from tests.metrics.test_events import FCT, OBS
from tests.metrics.test_fields import NORMAL, PRED, SMOOTH, TRUE, WAVES

LEVELS = (16, 74, 133, 160, 181, 219)


def test_means_of_every_score_over_the_thresholds() -> None:
    """pod and far have no mean column of their own; hss and csi have."""
    for kind, mean in {"csi": 0.856872, "pod": 0.895639, "far": 0.040598, "hss": 0.825598}.items():
        columns = [f"{kind}@{level}" for level in LEVELS]
        found = totals(columns, FCT, OBS)
        assert np.mean(list(found.values())) == pytest.approx(mean, abs=5e-7)


def test_the_strict_convention_is_the_next_threshold() -> None:
    """Values are whole numbers: above 74 is at least 74.5."""
    found = totals(["csi@74.5", "pod@74.5", "far@74.5"], FCT, OBS)
    assert list(found.values()) == pytest.approx([0.727273, 0.8, 0.111111], abs=5e-7)


@pytest.mark.parametrize(("side", "score"), [(1, 0.0), (2, 0.2), (4, 2 / 3), (8, 1.0)])
def test_pooled_scores_of_every_block(side: int, score: float) -> None:
    true, pred = torch.zeros(8, 8), torch.zeros(8, 8)
    true[1, 1], true[1, 2], true[6, 6] = 200, 90, 140
    pred[3, 3], pred[0, 5], pred[7, 7] = 190, 80, 150
    pooled = [largest(frame(x), side) for x in (pred, true)]
    assert totals(["csi@74"], *pooled)["csi@74"] == pytest.approx(score)


def test_overlap_of_events() -> None:
    one, other = torch.tensor([[1, 1, 0, 0, 1.0]]), torch.tensor([[1, 0, 0, 1, 1.0]])
    found = totals(["csi@1", "f1@1"], frame(one), frame(other))
    assert list(found.values()) == pytest.approx([0.5, 2 / 3])


def test_weights_of_a_grid_with_pole_rows() -> None:
    rows = torch.tensor([-90.0, -45, 0, 45, 90])
    assert latitude_weights(rows).tolist() == pytest.approx([0, 1.464466, 2.071068, 1.464466, 0], abs=5e-7)
    assert area_weights(rows).tolist() == pytest.approx([0.190301, 1.352990, 1.913417, 1.352990, 0.190301], abs=5e-7)


def test_anomaly_correlation_of_each_time_and_roots_before_the_mean() -> None:
    weights = area_weights(torch.tensor([-60.0, 0, 60]))
    given = {"physical": (PRED, TRUE), "row_areas": weights, "row_weights": weights, "data_range": None}
    found = frame_values(["acc", "rmse_area", "rmse_physical"], PRED, TRUE, normals=NORMAL.expand(PRED.shape), **given)
    assert found["acc"].flatten().tolist() == pytest.approx([0.830455, 0.747958], abs=5e-7)
    assert float(found["rmse_area"].mean()) == pytest.approx(0.756881, abs=5e-7)  # of single times, then the mean
    assert float(found["rmse_physical"].mean()) == pytest.approx(0.815786, abs=5e-7)


def test_gradient_difference_as_a_sum() -> None:
    """Both directions of an 8×8 frame have 56 differences."""
    assert 56 * totals(["gdl"], frame(SMOOTH), frame(WAVES))["gdl"] == pytest.approx(23.330952, abs=5e-6)


def test_spread_and_skill_before_the_ratio() -> None:
    true = torch.tensor([2.5, 0, 4])
    members = torch.tensor([[1.0, 2, 4], [0, 0, 0], [3, 5, 10]]).T
    spread = members.var(0).mean().sqrt()
    error = (members.mean(0) - true).square().mean().sqrt()
    assert [float(spread), float(error)] == pytest.approx([2.260777, 1.158703], abs=5e-7)
    pred = members.mean(0).view(1, 1, 1, 1, 3)
    given = {"members": members.view(3, 1, 1, 1, 1, 3), "scaling": Scaling()}
    found = totals(["spread_skill"], pred, true.view(1, 1, 1, 1, 3), **given)
    assert found["spread_skill"] / (4 / 3) ** 0.5 == pytest.approx(1.951127, abs=5e-7)


def test_weighted_score_of_an_ensemble() -> None:
    weights = area_weights(torch.tensor([-60.0, 0, 60]))[:, None]
    members = torch.stack([PRED, PRED + 0.5, PRED - 1])
    score = crps(members.double(), TRUE.double(), fair=True)
    assert float((score * weights).mean()) == pytest.approx(0.3125, abs=5e-7)


def test_pooled_psnr_beside_the_mean_of_frames() -> None:
    true = torch.zeros(1, 2, 1, 8, 8)
    pred = true.clone()
    pred[:, 0], pred[:, 1] = 0.1, 0.01
    found = totals(["psnr", "psnr_pooled"], pred, true)
    assert list(found.values()) == pytest.approx([30.0, 22.967086], abs=5e-6)
