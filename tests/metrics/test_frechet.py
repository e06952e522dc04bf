"""Fréchet distances: the specification's worked values, invariants, constant memory, and verified weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.evaluate.distances import Distances, too_short
from stbench.metrics import frechet, get_metric, perceptual, trunks, video_network
from stbench.metrics.moments import Moments, frechet_distance
from stbench.train.engine import Engine


def of(pred: np.ndarray, true: np.ndarray) -> Moments:
    moments = Moments(pred.shape[1])
    moments.update(torch.from_numpy(pred), torch.from_numpy(true))
    return moments


def worked() -> tuple[np.ndarray, np.ndarray]:
    a = np.random.default_rng(0).normal(size=(50, 4))
    return a, 1.5 * a + 0.3


def test_worked_values() -> None:
    means = torch.tensor([[0.0, 0], [1, 2]])
    covariances = torch.diag_embed(torch.tensor([[1.0, 4], [4, 9]]))
    assert frechet_distance(means[0], covariances[0], means[1], covariances[1]) == pytest.approx(7.0, rel=1e-12)
    assert of(*worked()).distance() == pytest.approx(1.321064, abs=5e-7)


def by_scipy(a: np.ndarray, b: np.ndarray) -> float:
    """The textbook formula with scipy's square root of a matrix."""
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root))


@pytest.mark.parametrize("seed", range(3))
def test_against_scipy_and_invariants(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(40, 5)), rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) + 1
    distance = of(a, b).distance()
    assert distance == pytest.approx(by_scipy(a, b), rel=1e-9)
    assert of(b, a).distance() == pytest.approx(distance, rel=1e-9)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert of(a @ turn, b @ turn).distance() == pytest.approx(distance, rel=1e-9)
    assert of(a, a).distance() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sizes", [[50], [1, 49], [17, 17, 16]])
def test_batches_and_processes_change_nothing(sizes: list[int]) -> None:
    """Two processes: each sums its share, and the sums are added."""
    a, b = (torch.from_numpy(x) for x in worked())
    halves = [Moments(4), Moments(4)]
    for number, (p, t) in enumerate(zip(a.split(sizes), b.split(sizes), strict=True)):
        halves[number % 2].update(p, t)
    assert halves[0].state().shape == (2, 1 + 4 + 16)  # whatever the number of samples
    whole = Moments(4).load(halves[0].state() + halves[1].state())
    assert whole.count == 50
    assert whole.distance() == pytest.approx(1.321064, abs=5e-7)


def test_too_few_samples_are_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match="covariance of 4 features needs more than 4 samples, there are 3"):
        of(*(x[:3] for x in worked())).distance()


class Bright(nn.Module):
    """A video network for tests: mean and spread of each clip, with I3D's call."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        return torch.stack([x.mean((1, 2, 3, 4)), x.std((1, 2, 3, 4))], dim=1)


@pytest.fixture
def video_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "network.pt"
    torch.jit.script(Bright()).save(str(path))  # type: ignore[no-untyped-call]
    monkeypatch.setenv(video_network.ENV, str(path))
    video_network._load.cache_clear()
    yield path
    video_network._load.cache_clear()


def test_video_weights_run_only_if_their_hash_fits(video_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = get_metric("fvd").unavailable((1, 32, 32))
    assert reason is not None
    assert "is not i3d_torchscript.pt of StyleGAN-V (sha256 bec6519f66ea…)" in reason
    monkeypatch.setattr(video_network, "SHA256", video_network.file_hash(video_weights))
    video_network._load.cache_clear()
    assert get_metric("fvd").unavailable((1, 32, 32)) is None
    assert "grey and RGB" in (get_metric("fvd").unavailable((2, 32, 32)) or "")
    x = torch.rand(3, 10, 1, 20, 24)
    features = video_network.video_features(x, 1.0)
    assert features.shape == (3, 2)
    resized = nn.functional.interpolate(2 * x[0] - 1, size=(224, 224), mode="bilinear")
    assert float(features[0, 0]) == pytest.approx(float(resized.mean()), abs=1e-5)
    assert too_short(["fvd", "mse_frame"], 4) == {"fvd": "it needs 10 predicted frames, these are 4"}


def test_absent_video_weights_say_where_they_belong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(video_network.ENV, str(tmp_path / "nowhere.pt"))
    video_network._load.cache_clear()
    reason = get_metric("fvd").unavailable((3, 64, 64))
    assert reason is not None
    assert reason.startswith("its weights are not at hand: put i3d_torchscript.pt")


def test_a_pass_scores_sets_and_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet.OfTrunk, "features", lambda self, x, peak: x.mean((-2, -1)).flatten(0, 1).double())
    metric = get_metric("fd_lpips_alex")
    monkeypatch.setattr(
        "stbench.evaluate.distances.get_metric",
        lambda name: frechet.OfTrunk(name=name, formula=metric.formula, unit="", width=2, net="alex"),
    )
    generator = torch.Generator().manual_seed(0)
    pred, true = (torch.rand(6, 3, 2, 8, 8, generator=generator) for _ in range(2))
    distances = Distances(["fd_lpips_alex"], 3, 1.0, Engine("cpu"))
    for start in (0, 4):
        distances.update(pred[start : start + 4], true[start : start + 4])
    scores, missing = distances.finish()
    a, b = (x.mean((-2, -1)).flatten(0, 1).double().numpy() for x in (pred, true))
    assert scores["fd_lpips_alex"].total == pytest.approx(by_scipy(a, b), rel=1e-6)
    assert np.isnan(scores["fd_lpips_alex"].lead_times).all()
    assert missing == {}
    few = Distances(["fd_lpips_alex"], 3, 1.0, Engine("cpu"))
    few.update(pred[:1, :2], true[:1, :2])
    assert "needs more than 2 samples" in few.finish()[1]["fd_lpips_alex"]


@pytest.mark.slow
def test_real_trunk_orders_blur(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trunks.ENV, str(shared_dir / "lpips"))
    perceptual._load.cache_clear()
    true = torch.rand(20, 16, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    metric = get_metric("fd_lpips_alex")
    assert isinstance(metric, frechet.FrechetDistance)
    found = []
    for share in (0.0, 0.3, 0.8):
        blurred = nn.functional.avg_pool2d(true.flatten(0, 1), 5, 1, 2).view(true.shape)
        moments = Moments(256)
        moments.update(metric.features(true.lerp(blurred, share), 1.0), metric.features(true, 1.0))
        found.append(moments.distance())
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found[0] < found[1] < found[2]
