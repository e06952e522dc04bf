"""MMVP: the reference's passes fed with the past and with the clip, a slow version at other sizes, published counts."""

from __future__ import annotations

import csv
from math import isclose
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from stbench import ClipShape, Method, Progress, create_method
from stbench.efficiency.macs import total_macs
from stbench.errors import UserError
from tests.methods.oracles.mmvp import mmvp
from tests.methods.reference import SPREAD_FACTOR, assert_close, load
from tests.methods.test_oracles import published

FILES = {"mmvp_small": 32, "mmvp_two_scales_16": 16}
FED = {"past": "", "clip": "_clip"}
GRADIENT_REL = 1e-4
"""What the reference allows: some gradients are sums of cancelling terms."""


def from_reference(data: dict[str, Any], side: int, fed: str = "past") -> Method:
    shape = ClipShape(t_in=4, t_out=4, channels=2, height=side, width=side)
    plugin = type(create_method("mmvp", shape, hid_t=8, hid_s=8))
    inferred = plugin.infer_config(data["state_dict"], shape)
    expected = {"hid_s": 6, "hid_t": 8, "ratios": (2,) * (3 if side == 32 else 2)}
    assert inferred == {**expected, "encoder_blocks": 1, "decoder_blocks": 1, "enhancer_blocks": 1}
    method = create_method("mmvp", shape, **inferred, trained_on=fed)
    method.load_public_state_dict(data["state_dict"])
    return method


@pytest.mark.parametrize("file", FILES)
def test_reference_prediction(file: str, shared_dir: Path) -> None:
    data = load(shared_dir, file)
    method: Any = from_reference(data, FILES[file]).eval()
    with torch.no_grad():
        error = (method(data["batch_x"]) - data["eval_output"]).abs().max().item()
        levels = [level.unflatten(0, (2, 4)) for level in method.encoder(data["batch_x"].flatten(0, 1))]
        high, low = method.motion_matrices(*levels[-2:])
    assert error <= SPREAD_FACTOR * data["eval_spread"]
    for seen, name in ((high, "eval_matrix_high"), (low, "eval_matrix_low")):
        torch.testing.assert_close(torch.cat(seen, 1), data[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("fed", FED)
@pytest.mark.parametrize("file", FILES)
def test_reference_training_pass(file: str, fed: str, shared_dir: Path) -> None:
    """Loss and statistics in float32, gradients in float64.

    One LeakyReLU input of the clip-fed case is -3e-6 where float32 rounds by 1e-5: on which side of the kink it falls
    depends on the order of sums.
    """
    data, suffix = load(shared_dir, file), FED[fed]
    method = from_reference(data, FILES[file], fed).train()
    with torch.no_grad():
        loss = method.training_losses(data["batch_x"], data["batch_y"], Progress())["loss"]
    assert_close(loss.item(), data[f"train_loss{suffix}"].item(), "loss")
    after = method.public_state_dict()
    for key, expected in data[f"state_dict_after_train_forward{suffix}"].items():
        if "scale_fuser" not in key:
            torch.testing.assert_close(after[key], expected, rtol=1e-5, atol=1e-6)
    method.double()
    method.training_losses(data["batch_x"].double(), data["batch_y"].double(), Progress())["loss"].backward()
    keys, norms = method.public_key_map(), data[f"grads_norm{suffix}"]
    seen = {keys[name]: p.grad.norm().item() for name, p in method.named_parameters() if p.grad is not None}
    assert set(seen) == set(norms)
    for key, norm in norms.items():
        assert isclose(seen[key], norm, rel_tol=GRADIENT_REL, abs_tol=1e-6), f"{key}: {seen[key]} instead of {norm}"


SMALL = {"hid_s": 4, "hid_t": 3, "encoder_blocks": 1, "decoder_blocks": 1, "enhancer_blocks": 1}
CASES: list[tuple[ClipShape, dict[str, Any]]] = [
    (ClipShape(t_in=3, t_out=2, channels=2, height=16, width=8), {**SMALL, "ratios": (2, 2)}),
    (ClipShape(t_in=2, t_out=1, channels=1, height=16, width=32), {**SMALL, "ratios": (2, 2, 2), "decoder_blocks": 2}),
    (ClipShape(t_in=2, t_out=4, channels=3, height=16, width=48), {**SMALL, "ratios": (4, 2)}),
    (ClipShape(t_in=4, t_out=2, channels=1, height=32, width=64), {**SMALL, "ratios": (2, 4, 2), "enhancer_blocks": 2}),
]


@pytest.mark.parametrize(("shape", "settings"), CASES, ids=str)
def test_slow_version(shape: ClipShape, settings: dict[str, Any]) -> None:
    torch.manual_seed(3)
    method = create_method("mmvp", shape, **settings).double().eval()
    with torch.no_grad():
        for name, tensor in method.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.3)
    past = torch.rand(shape.past(2), dtype=torch.float64)
    future = torch.rand(shape.future(2), dtype=torch.float64)
    expected = mmvp(published(method), past, shape.t_out, settings["ratios"])
    torch.testing.assert_close(method(past), expected, rtol=1e-8, atol=1e-10)
    loss = method.training_losses(past, future, Progress())["loss"]
    parameters = dict(method.named_parameters())
    for name, grad, right in zip(
        parameters,
        torch.autograd.grad(loss, list(parameters.values())),
        torch.autograd.grad(F.mse_loss(expected, future), list(parameters.values())),
        strict=True,
    ):
        torch.testing.assert_close(grad, right, rtol=1e-6, atol=1e-10, msg=name)


SETTINGS: dict[str, tuple[ClipShape, dict[str, Any], int]] = {
    "mmnist": (ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64), {}, 708_832),
    "kth": (ClipShape(t_in=10, t_out=20, channels=1, height=128, width=128), {"hid_s": 16, "hid_t": 96}, 177_264),
}


@pytest.mark.parametrize("dataset", SETTINGS)
def test_published_counts(dataset: str, shared_dir: Path) -> None:
    shape, settings, dead = SETTINGS[dataset]

    def build() -> Method:
        with torch.device("meta"):
            return create_method("mmvp", shape, **settings)

    with (shared_dir / "reference" / "params_flops_more.csv").open() as file:
        (row,) = [r for r in csv.DictReader(file) if (r["dataset"], r["method"]) == (dataset, "MMVP")]
    assert sum(p.numel() for p in build().parameters()) + dead == int(row["params"])
    assert total_macs(build) == int(float(row["flops_measured"]))


@pytest.mark.parametrize("training", [True, False])
def test_what_is_fed_shows_in_batch_statistics_alone(training: bool) -> None:
    shape, small = CASES[0]
    torch.manual_seed(1)
    past, future = torch.rand(shape.past(2)), torch.rand(shape.future(2))
    losses = []
    for fed in FED:
        torch.manual_seed(0)
        method = create_method("mmvp", shape, **small, trained_on=fed).train(training)
        losses.append(method.training_losses(past, future, Progress())["loss"].item())
    assert isclose(*losses, rel_tol=1e-6) != training


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"t_in": 1}, {}, "MMVP compares past frames with each other"),
        ({}, {"ratios": (2, 3)}, "ratios"),
        ({}, {"ratios": (2,)}, "ratios"),
    ],
)
def test_mistakes(change: dict[str, int], settings: dict[str, Any], message: str) -> None:
    shape, small = CASES[0]
    with pytest.raises(UserError, match=message):
        create_method("mmvp", shape.model_copy(update=change), **{**small, **settings})
