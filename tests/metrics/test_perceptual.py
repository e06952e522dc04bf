from pathlib import Path

import lpips
import pytest
import torch
from skimage.io import imread
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics import frame_values, trunks, unavailable
from stbench.metrics.perceptual import SMALLEST_FRAME, Lpips, lpips_frames

pytestmark = pytest.mark.filterwarnings("ignore:.*weights:UserWarning:torchvision")


@pytest.fixture
def weights(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(trunks.ENV, str(shared_dir / "lpips"))
    return shared_dir / "lpips"


def image(path: Path) -> Tensor:
    return torch.from_numpy(imread(path)).permute(2, 0, 1)[None, None] / 255


def random_frames(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


@pytest.mark.parametrize(("name", "expected"), [("ex_p0", 0.721881), ("ex_p1", 0.137566)])
def test_published_examples(weights: Path, name: str, expected: float) -> None:
    values = frame_values(["lpips_alex"], image(weights / f"{name}.png"), image(weights / "ex_ref.png"), data_range=1.0)
    assert values["lpips_alex"].item() == pytest.approx(expected, abs=1e-6)


def test_reference_values(weights: Path) -> None:
    cases = torch.load(weights.parent / "reference" / "metrics.pt", weights_only=True)
    scored = [case for case in cases.values() if "lpips" in case["values"]]
    for case in scored:
        value = frame_values(["lpips_alex"], case["pred"], case["true"], data_range=1.0)["lpips_alex"].mean()
        assert value.item() == pytest.approx(case["values"]["lpips"], rel=1e-6)
    assert len(scored) == 2


def module_loop(net: str, trunk: dict[str, Tensor], pred: Tensor, true: Tensor) -> Tensor:
    """The package's own module, its trunk loaded the plain way, frame by frame."""
    module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    own = {key: trunk[f"features.{key.split('.', 1)[1]}"] for key in module.net.state_dict()}
    module.net.load_state_dict(own)
    grey = [x.expand(-1, 3, -1, -1).clamp(0, 1) for x in (pred, true)]
    with torch.no_grad():
        return torch.stack([module(p[None], t[None], normalize=True).squeeze() for p, t in zip(*grey, strict=True)])


def random_trunk(net: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False).net.state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        f"features.{key.split('.', 1)[1]}": torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
        for key, value in shapes.items()
    }


@pytest.mark.parametrize(("net", "channels"), [("alex", 1), ("alex", 3), ("squeeze", 3), ("vgg", 1)])
def test_batched_equals_the_package_frame_by_frame(net: str, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = random_trunk(net)
    monkeypatch.setattr("stbench.metrics.perceptual.find_trunk", lambda wanted: {net: trunk}[wanted])
    side = SMALLEST_FRAME[net]
    pred, true = random_frames(5, channels, side, side + 3)
    pred = 1.4 * pred - 0.2
    ours = frame_values([f"lpips_{net}"], pred[None], true[None], data_range=1.0)[f"lpips_{net}"][0]
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours.float(), module_loop(net, trunk, pred, true), rtol=1e-5, atol=1e-7)
    with pytest.raises(UserError, match=f"at least {side}×{side} pixels"):
        lpips_frames(net, pred[..., : side - 1, :], true[..., : side - 1, :], 1.0)


def test_identities(weights: Path) -> None:
    pred, true = random_frames(2, 3, 1, 40, 33)
    values = frame_values(["lpips_alex"], pred, true, data_range=1.0)["lpips_alex"]
    scaled = frame_values(["lpips_alex"], 10 * pred, 10 * true, data_range=10.0)["lpips_alex"]
    torch.testing.assert_close(scaled, values, rtol=1e-4, atol=1e-6)
    assert torch.equal(frame_values(["lpips_alex"], true, true, data_range=1.0)["lpips_alex"], 0 * values)
    pred[1, 2, 0, 5, 5] = float("nan")
    broken = frame_values(["lpips_alex"], pred, true, data_range=1.0)["lpips_alex"]
    assert broken.isnan().nonzero().tolist() == [[1, 2]]
    torch.testing.assert_close(broken[0], values[0], rtol=1e-5, atol=1e-7)


def test_building_the_network_draws_no_random_number(weights: Path) -> None:
    before = torch.get_rng_state()
    Lpips("alex", trunks.find_trunk("alex"))
    assert torch.equal(torch.get_rng_state(), before)


def test_why_it_is_unavailable(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unavailable(["lpips_alex", "ssim", "mse_frame"], (3, 64, 64)) == {}
    assert "have 2 channels" in unavailable(["lpips_alex"], (2, 64, 64))["lpips_alex"]
    assert "at least 31×31" in unavailable(["lpips_alex"], (1, 32, 16))["lpips_alex"]
    pred, true = random_frames(1, 1, 2, 40, 40)
    with pytest.raises(trunks.UnavailableError, match="have 2 channels"):
        frame_values(["lpips_alex"], pred, true, data_range=1.0)


def test_without_weights_there_is_a_reason_and_the_other_metrics_go_on() -> None:
    reasons = unavailable(["lpips_alex", "ssim"], (1, 64, 64))
    assert set(reasons) == {"lpips_alex"}
    for part in ("torch's hub cache", "alexnet-owt-7be5be79.pth: download failed", "pip cannot", trunks.ENV):
        assert part in reasons["lpips_alex"]
    pred, true = random_frames(1, 1, 1, 40, 40)
    with pytest.raises(trunks.UnavailableError, match="lpips_alex: No verified weights"):
        frame_values(["lpips_alex"], pred, true, data_range=1.0)
