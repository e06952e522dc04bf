"""E3D-LSTM: the reference's three forms, a slow version at other sizes, published counts, checkpointing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from stbench import ClipShape, Method, create_method
from stbench.efficiency.macs import total_macs
from stbench.errors import UserError
from stbench.nn import Progress, feed_mask, prediction_mask
from tests.methods.oracles.e3dlstm import e3dlstm
from tests.methods.reference import SPREAD_FACTOR, assert_close, assert_gradients, load
from tests.methods.test_oracles import SQUARE, TALL, WIDE, published

FORMS: dict[str, dict[str, Any]] = {
    "": {},
    "_carried": {"memory": "carried"},
    "_paper": {"memory": "carried", "recall": "channels"},
}
REFERENCE = ClipShape(t_in=4, t_out=4, channels=2, height=16, width=16)


def from_reference(data: dict[str, Any], form: str) -> Method:
    method = create_method("e3dlstm", REFERENCE, hidden=(8, 8), patch=2, **FORMS[form])
    method.load_public_state_dict(data["state_dict"])
    return method


@pytest.mark.parametrize("form", FORMS)
def test_reference_prediction(form: str, shared_dir: Path) -> None:
    data = load(shared_dir, "e3dlstm_ln0")
    with torch.no_grad():
        error = (from_reference(data, form).eval()(data["batch_x"]) - data[f"eval_output{form}"]).abs().max().item()
    assert error <= SPREAD_FACTOR * data[f"eval_spread{form}"]


@pytest.mark.parametrize("form", FORMS)
def test_reference_training_rollout(form: str, shared_dir: Path) -> None:
    data = load(shared_dir, "e3dlstm_ln0")
    method = from_reference(data, form).train()
    clip = torch.cat([data["batch_x"], data["batch_y"]], dim=1)
    feed = torch.cat([torch.ones(2, 4), data["train_mask_keep"]], dim=1).bool()
    losses = method.rollout_losses(clip, feed)  # type: ignore[operator]
    losses["loss"].backward()
    assert_close(losses["loss"].item(), data[f"train_loss{form}"].item(), "loss")
    live = {key: norm for key, norm in data[f"grads_norm{form}"].items() if form or ".conv_gm." not in key}
    assert form or all(norm == 0 for key, norm in data["grads_norm"].items() if ".conv_gm." in key)
    assert_gradients(method, live)


CASES: list[tuple[ClipShape, dict[str, Any]]] = [
    (shape, {"hidden": (4,) * layers, "patch": patch, "stride": stride, "layer_norm": norm, **form})
    for shape, layers, patch, stride in ((SQUARE, 2, 2, 1), (WIDE, 3, 4, 2), (TALL, 1, 1, 2), (TALL, 2, 4, 1))
    for norm in (False, True)
    for form in (*FORMS.values(), {"recall": "channels"})
]


@pytest.mark.parametrize(("shape", "settings"), CASES, ids=str)
def test_slow_version(shape: ClipShape, settings: dict[str, Any]) -> None:
    torch.manual_seed(3)
    method = create_method("e3dlstm", shape, **settings).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.3)
    clip = torch.rand(3, shape.length, *shape.frame, dtype=torch.float64)
    options = settings["patch"], settings["stride"]
    carried, channels = settings.get("memory") == "carried", settings.get("recall") == "channels"
    feed = feed_mask(
        "reverse", 3, shape.t_in, shape.t_out, Progress(step=24_000, generator=torch.Generator().manual_seed(1))
    )
    weights = published(method)
    emissions = e3dlstm(weights, clip, feed, *options, carried, channels)
    expected = F.mse_loss(emissions, clip[:, 1:]) + F.l1_loss(emissions, clip[:, 1:])
    parameters = dict(method.named_parameters())
    wanted = torch.autograd.grad(expected, list(parameters.values()), allow_unused=True)
    for checkpointing in (False, True):
        method.activation_checkpointing = checkpointing
        loss = method.rollout_losses(clip, feed)["loss"]  # type: ignore[operator]
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
        grads = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for name, grad, right in zip(parameters, grads, wanted, strict=True):
            assert grad is not None
            torch.testing.assert_close(grad, right, rtol=1e-6, atol=1e-10, msg=name)
    with torch.no_grad():
        fed = prediction_mask(3, shape.t_in, shape.t_out)
        emissions = e3dlstm(weights, clip, fed, *options, carried, channels)
        torch.testing.assert_close(
            method.eval()(clip[:, : shape.t_in]), emissions[:, -shape.t_out :], rtol=1e-9, atol=1e-12
        )


SETTINGS: dict[str, tuple[ClipShape, dict[str, Any]]] = {
    "taxibj": (ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32), {"patch": 2}),
    "mmnist": (ClipShape(t_in=10, t_out=10, channels=1, height=64, width=64), {}),
    "weather_t2m_5_625": (ClipShape(t_in=12, t_out=12, channels=1, height=32, width=64), {}),
    "weather_uv10_5_625": (ClipShape(t_in=12, t_out=12, channels=2, height=32, width=64), {}),
    "mmnist_cifar": (ClipShape(t_in=10, t_out=10, channels=3, height=64, width=64), {}),
    "kth": (ClipShape(t_in=10, t_out=20, channels=1, height=128, width=128), {"patch": 8, "stride": 2}),
    "human": (ClipShape(t_in=4, t_out=4, channels=3, height=256, width=256), {"patch": 8}),
    "kitticaltech": (ClipShape(t_in=10, t_out=1, channels=3, height=128, width=160), {}),
}
DEAD = 4 * 4 * 128 * 128 * 50
"""Every layer's convolution of a memory that is 0."""


@pytest.mark.parametrize(
    "dataset", [name if name == "taxibj" else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_published_counts(dataset: str, shared_dir: Path) -> None:
    shape, settings = SETTINGS[dataset]

    def build() -> Method:
        with torch.device("meta"):
            return create_method("e3dlstm", shape, **settings)

    path = shared_dir / "reference" / "params_flops_more.csv"
    with path.open() as file:
        (row,) = [r for r in csv.DictReader(file) if (r["dataset"], r["method"]) == (dataset, "E3DLSTM")]
    assert sum(p.numel() for p in build().parameters()) + DEAD == int(row["params"])
    assert total_macs(build) == int(float(row["flops_measured"]))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_public_layout(form: str, norm: bool) -> None:
    settings = {"hidden": (4, 4), "patch": 2, "layer_norm": norm}
    torch.manual_seed(0)
    whole = create_method("e3dlstm", SQUARE, **settings, memory="carried").public_state_dict()
    method = create_method("e3dlstm", SQUARE, **settings, **FORMS[form])
    method.load_public_state_dict(whole)
    back = method.public_state_dict()
    assert all(torch.equal(back[key], whole[key]) for key in back)
    kept_bias = 2 if norm else 0
    assert len(whole) - len(back) == (0 if form else 2 * (3 if norm else 1) - kept_bias)
    found = type(method).infer_config(whole, SQUARE)
    assert found == {"hidden": (4, 4), "patch": 2, "layer_norm": norm}


def test_a_memory_needs_its_convolutions() -> None:
    state = create_method("e3dlstm", SQUARE, hidden=(4,), patch=2).public_state_dict()
    with pytest.raises(UserError, match=r"missing: cell_list.0.conv_gm.0.conv3d.weight"):
        create_method("e3dlstm", SQUARE, hidden=(4,), patch=2, memory="carried").load_public_state_dict(state)


def test_layers_share_a_memory() -> None:
    with pytest.raises(UserError, match="E3D-LSTM passes one memory through all layers"):
        create_method("e3dlstm", SQUARE, hidden=(4, 8), patch=2)
