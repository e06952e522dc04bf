"""WaST: the reference's pieces and passes, a slow version at other sizes, published counts, the drop-path schedule."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from stbench_methods.wast.large_kernel import StripConv
from stbench_methods.wast.loss import high_focal_frequency_loss
from stbench_methods.wast.wavelets import analyse, low_band, synthesise
from torch.nn import functional as F

from stbench import ClipShape, Method, Progress, create_method
from stbench.efficiency.macs import total_macs
from stbench.errors import UserError
from tests.methods.oracles.wast import BANDS, focal, wast
from tests.methods.reference import SPREAD_FACTOR, assert_close, assert_gradients, load
from tests.methods.test_oracles import published

REFERENCE = ClipShape(t_in=4, t_out=4, channels=2, height=16, width=16)
CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("number", [0, 1])
def test_wavelets(number: int, shared_dir: Path) -> None:
    pieces = load(shared_dir, "wast_pieces")
    volume, frame = pieces["dwt3"][number], pieces["dwt2"][number]
    bands = analyse(volume["x"])
    for index, name in enumerate(BANDS):
        torch.testing.assert_close(bands[:, index], volume[name], **CLOSE, msg=name)
    torch.testing.assert_close(synthesise(bands), volume["inverse"], **CLOSE)
    torch.testing.assert_close(low_band(frame["x"]), frame["LL"], **CLOSE)


@pytest.mark.parametrize("number", range(4))
def test_reference_loss(number: int, shared_dir: Path) -> None:
    case = load(shared_dir, "wast_pieces")["hffl"][number]
    options = {"alpha": case["alpha"], "tau": case["tau"], "levels": case["level"]}
    pred = case["pred"].clone().requires_grad_()
    value = case["loss_weight"] * high_focal_frequency_loss(pred, case["true"], **options)
    (grad,) = torch.autograd.grad(value, pred)
    assert_close(value.item(), float(case["value"]), "loss")
    torch.testing.assert_close(grad, case["grad"], rtol=1e-5, atol=1e-5 * case["grad"].abs().max().item())


@pytest.mark.parametrize(("levels", "alpha", "tau"), [(1, 1.0, 0.1), (2, 0.5, 0.3), (3, 2.0, 0.0)])
def test_loss_bin_by_bin(levels: int, alpha: float, tau: float) -> None:
    pred = torch.rand(1, 2, 1, 9, 12, dtype=torch.float64, requires_grad=True)
    true = torch.rand(1, 2, 1, 9, 12, dtype=torch.float64)
    seen = high_focal_frequency_loss(pred, true, alpha=alpha, tau=tau, levels=levels)
    expected = focal(pred, true, alpha, tau, levels)
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-12)
    grads = (torch.autograd.grad(value, pred)[0] for value in (seen, expected))
    torch.testing.assert_close(*grads, rtol=1e-7, atol=1e-10)


def test_a_perfect_prediction_costs_nothing() -> None:
    pred = torch.rand(1, 2, 1, 8, 8, requires_grad=True)
    loss = high_focal_frequency_loss(pred, pred.detach().clone())
    (grad,) = torch.autograd.grad(loss, pred)
    assert loss.item() == 0
    assert not grad.any()


def from_reference(data: dict[str, Any]) -> Method:
    method = create_method("wast", REFERENCE, encoder_dim=4, blocks=(1, 2, 1), hffl_weight=1.0)
    method.load_public_state_dict(data["state_dict"])
    return method


def test_reference_passes(shared_dir: Path) -> None:
    data = load(shared_dir, "wast_small")
    for mode, spread in ((False, "eval_spread"), (True, "train_spread")):
        output = data["train_output" if mode else "eval_output"]
        with torch.no_grad():
            error = (from_reference(data).train(mode)(data["batch_x"]) - output).abs().max().item()
        assert error <= SPREAD_FACTOR * data[spread]


def test_reference_training_pass(shared_dir: Path) -> None:
    data = load(shared_dir, "wast_small")
    method = from_reference(data).train()
    losses = method.training_losses(data["batch_x"], data["batch_y"], Progress())
    losses["loss"].backward()
    for term in ("loss", "mse", "hffl"):
        assert_close(losses[term].item(), data[f"train_{term}"].item(), term)
    assert_gradients(method, data["grads_norm"])
    after = method.public_state_dict()
    for key, expected in data["state_dict_after_train_forward"].items():
        torch.testing.assert_close(after[key], expected, rtol=1e-5, atol=1e-6)
    assert set(data["state_dict"]) - set(after) == {
        *data["dead_parameters"],
        "wavelet_embed1.DWT.filters",
        "wavelet_recon1.IDWT.filters",
    }
    inferred = type(method).infer_config(data["state_dict"], REFERENCE)
    assert inferred == {"encoder_dim": 4, "blocks": (1, 2, 1), "mlp_ratio": 4.0}


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        (ClipShape(t_in=2, t_out=5, channels=1, height=8, width=12), {"encoder_dim": 4, "blocks": (1, 1, 1)}),
        (ClipShape(t_in=6, t_out=2, channels=3, height=10, width=4), {"encoder_dim": 3, "blocks": (0, 2, 1)}),
        (ClipShape(t_in=4, t_out=4, channels=2, height=4, width=6), {"encoder_dim": 5, "mlp_ratio": 2.5}),
    ],
    ids=str,
)
def test_slow_version(shape: ClipShape, settings: dict[str, Any]) -> None:
    """Prediction and, with running statistics, the gradient of every parameter."""
    torch.manual_seed(3)
    method = create_method("wast", shape, **settings).double().eval()
    with torch.no_grad():
        for name, tensor in method.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.3)
    clip = torch.rand(2, shape.length, *shape.frame, dtype=torch.float64)
    past, future = clip[:, : shape.t_in], clip[:, shape.t_in :]
    weights = published(method)
    frames = wast(weights, past)
    while frames.shape[1] < shape.t_out:
        frames = torch.cat([frames, wast(weights, frames[:, -shape.t_in :])], dim=1)
    frames = frames[:, : shape.t_out]
    expected = F.mse_loss(frames, future) + 1e-3 * focal(frames, future, 1.0, 0.1, 1)
    torch.testing.assert_close(method(past), frames, rtol=1e-9, atol=1e-11)
    loss = method.training_losses(past, future, Progress())["loss"]
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    parameters = dict(method.named_parameters())
    for name, grad, right in zip(
        parameters,
        torch.autograd.grad(loss, list(parameters.values())),
        torch.autograd.grad(expected, list(parameters.values())),
        strict=True,
    ):
        torch.testing.assert_close(grad, right, rtol=1e-6, atol=1e-10, msg=name)


@pytest.mark.parametrize("kernel", [(51, 5), (5, 51), (21, 5), (5, 21), (5, 5)])
@pytest.mark.parametrize("size", [(3, 7), (16, 16), (5, 60)])
def test_long_kernels(kernel: tuple[int, int], size: tuple[int, int]) -> None:
    conv = StripConv(3, *kernel).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(x, conv.weight, conv.bias, padding=(kernel[0] // 2, kernel[1] // 2), groups=3)
    seen, weigh = conv(x), torch.randn_like(plain)
    torch.testing.assert_close(seen, plain)
    wanted = [x, *conv.parameters()]
    for grad, right in zip(
        torch.autograd.grad(seen, wanted, weigh), torch.autograd.grad(plain, wanted, weigh), strict=True
    ):
        torch.testing.assert_close(grad, right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("mode", "rates"), [("late", (0.0, 0.0, 0.4)), ("early", (0.4, 0.4, 0.0)), ("standard", (0.4, 0.4, 0.4))]
)
def test_stochastic_depth_follows_the_epoch(mode: str, rates: tuple[float, ...]) -> None:
    """Before the first loss of an epoch, from 0 at the first block to the rate at the last."""
    settings = {"encoder_dim": 4, "blocks": (1, 2, 2), "drop_path": 0.4, "drop_path_mode": mode, "drop_path_epoch": 2}
    method = create_method("wast", REFERENCE, **settings).train()
    past, future = torch.rand(REFERENCE.past(1)), torch.rand(REFERENCE.future(1))
    for epoch, rate in enumerate(rates):
        method.training_losses(past, future, Progress(epoch=epoch))
        seen = [module.rate for name, module in method.named_modules() if name.endswith("drop_path")]
        assert seen == pytest.approx([rate * block / 4 for block in range(5)])


def test_published_counts(shared_dir: Path) -> None:
    shape = REFERENCE.model_copy(update={"height": 32, "width": 32})

    def build() -> Method:
        with torch.device("meta"):
            return create_method("wast", shape, blocks=(2, 8, 2))

    with (shared_dir / "reference" / "params_flops_metaformers.csv").open() as file:
        (row,) = [r for r in csv.DictReader(file) if (r["dataset"], r["method"]) == ("taxibj", "WaST")]
    dead = 2 * 2 * 80 + 8 * 160  # every block's second layer scale
    assert sum(p.numel() for p in build().parameters()) + dead == int(row["params"])
    assert total_macs(build) == int(float(row["flops_measured"]))


def test_an_odd_number_of_past_frames_is_refused() -> None:
    with pytest.raises(UserError, match="need an even number of past frames"):
        create_method("wast", REFERENCE.model_copy(update={"t_in": 3}))
