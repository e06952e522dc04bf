"""Ensemble scores: the specification's worked values, another library, and what one member gives."""

import math

import pytest
import torch

from stbench.metrics.ensembles import crps, rank_histogram
from stbench.schema import Scaling
from tests.metrics.scoring import totals

TRUE = torch.tensor([2.5, 0, 4])
MEMBERS = torch.tensor([[1.0, 2, 4], [0, 0, 0], [3, 5, 10]]).T


def test_worked_values() -> None:
    assert crps(MEMBERS, TRUE, fair=False).tolist() == pytest.approx([0.5, 0, 1.111111], abs=5e-7)
    assert crps(MEMBERS, TRUE, fair=True).tolist() == pytest.approx([0.166667, 0, 0.333333], abs=5e-7)
    assert rank_histogram(MEMBERS, TRUE).tolist() == [1, 1, 1, 0]
    pred, true = MEMBERS.mean(0).view(1, 1, 1, 1, 3), TRUE.view(1, 1, 1, 1, 3)
    names = ["crps", "crps_fair", "spread_skill", "brier@2"]
    found = totals(names, pred, true, scaling=Scaling(), members=MEMBERS.view(3, 1, 1, 1, 1, 3))
    expected = {"crps": 0.537037, "crps_fair": 0.166667, "spread_skill": 2.252967, "brier@2": 0.037037}
    assert found == pytest.approx(expected, abs=5e-7)


def test_one_member_is_the_mean_absolute_error() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, true = (torch.rand(2, 3, 1, 4, 4, generator=generator) for _ in range(2))
    found = totals(["crps", "crps_fair", "mae_physical", "spread_skill"], pred, true)
    assert found["crps"] == found["crps_fair"] == pytest.approx(found["mae_physical"], rel=1e-12)
    assert math.isnan(found["spread_skill"])


@pytest.mark.parametrize(("estimator", "fair"), [("nrg", False), ("fair", True)])
def test_against_scoringrules(estimator: str, fair: bool) -> None:
    rules = pytest.importorskip("scoringrules", reason="pip install 'stbench[oracles]'")
    generator = torch.Generator().manual_seed(1)
    members, true = torch.randn(7, 50, generator=generator).double(), torch.randn(50, generator=generator).double()
    theirs = rules.crps_ensemble(true.numpy(), members.T.numpy(), estimator=estimator)
    assert crps(members, true, fair=fair).numpy() == pytest.approx(theirs, rel=1e-9)


def test_a_calibrated_ensemble_has_a_flat_histogram() -> None:
    generator = torch.Generator().manual_seed(2)
    counts = rank_histogram(torch.randn(4, 20_000, generator=generator), torch.randn(20_000, generator=generator))
    assert counts.tolist() == pytest.approx([4000] * 5, rel=0.06)
