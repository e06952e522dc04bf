"""Each method against its slow version: odd sizes, layer norm, every option, losses and gradients; all in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stbench import ClipShape, Method, create_method
from stbench.nn import Progress, feed_mask, prediction_mask
from tests.methods import oracles
from tests.methods.small import METAFORMERS

SQUARE = ClipShape(t_in=3, t_out=2, channels=2, height=8, width=8)
WIDE = ClipShape(t_in=2, t_out=4, channels=1, height=8, width=16)
TALL = ClipShape(t_in=4, t_out=1, channels=3, height=12, width=4)

Oracle = Callable[[dict[str, Tensor], Tensor, Tensor, dict[str, Any]], tuple[Tensor, Tensor]]
"""(published weights, clip, feed, settings) -> all emissions and what the loss adds to their MSE."""


@dataclass(frozen=True)
class Case:
    """A method under given settings beside its slow version."""

    method: str
    shape: ClipShape
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.method}-{self.shape.height}x{self.shape.width}-{options}".replace(" ", "")


def patched(oracle: Callable[..., Tensor]) -> Oracle:
    def run(weights: dict[str, Tensor], clip: Tensor, feed: Tensor, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
        return oracle(weights, clip, feed, settings["patch"]), clip.new_zeros(())

    return run


def decoupled(
    weights: dict[str, Tensor], clip: Tensor, feed: Tensor, settings: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    emissions, similarity = oracles.predrnnv2(weights, clip, feed, settings["patch"])
    return emissions, settings.get("decouple_weight", 0.1) * similarity


def motion(weights: dict[str, Tensor], clip: Tensor, feed: Tensor, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    recall, residual = settings.get("recall", False), settings.get("residual", False)
    return oracles.mau(weights, clip, feed, settings.get("window", 5), recall, residual), clip.new_zeros(())


def windows(weights: dict[str, Tensor], clip: Tensor, feed: Tensor, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    sigmoid = settings.get("output_activation") != "none"
    oracle = oracles.swinlstm(weights, clip, feed, settings["num_heads"], settings["window"], sigmoid)
    return oracle, clip.new_zeros(())


ROLLED: dict[str, Oracle] = {
    "convlstm": patched(oracles.convlstm),
    "predrnn": patched(oracles.predrnn),
    "predrnnpp": patched(oracles.predrnnpp),
    "predrnnv2": decoupled,
    "mim": patched(oracles.mim),
    "mau": motion,
    "swinlstm:b": windows,
    "swinlstm:d": windows,
}
FAMILY = ("convlstm", "predrnn", "predrnnpp", "predrnnv2", "mim")
LARGE_SQUARE = ClipShape(t_in=2, t_out=2, channels=2, height=16, width=16)
LARGE_WIDE = ClipShape(t_in=2, t_out=3, channels=1, height=16, width=32)
B_SIZES = {"embed_dim": 6, "num_heads": (3,), "drop_path": 0.0}
D_SIZES = {
    "embed_dim": 4,
    "num_heads": (2, 4),
    "depths_downsample": (2, 1),
    "depths_upsample": (3, 2),
    "drop_path": 0.0,
}
SMALL = {"hidden": (4, 4), "patch": 2, "kernel": 3}
ROLLED_CASES = [
    *(Case(name, SQUARE, {**SMALL, "layer_norm": norm}) for name in FAMILY for norm in (False, True)),
    *(
        Case(name, WIDE, {"hidden": (4, 4, 4), "patch": 4, "kernel": 5, "layer_norm": norm})
        for name in FAMILY
        for norm in (False, True)
    ),
    *(Case(name, TALL, {"hidden": (4, 4), "patch": 1, "kernel": 3}) for name in FAMILY),
    *(Case(name, TALL, {"hidden": (4,) * 4, "patch": 2, "kernel": 1, "layer_norm": True}) for name in FAMILY),
    *(Case(name, WIDE, {"hidden": (4,), "patch": 2, "kernel": 3, "layer_norm": True}) for name in FAMILY[:2]),
    Case("predrnnv2", WIDE, {"hidden": (4,), "patch": 4, "kernel": 3}),
    Case("convlstm", WIDE, {"hidden": (6, 4, 2), "patch": 4, "kernel": 5, "layer_norm": True}),
    Case("convlstm", SQUARE, {**SMALL, "hidden": (3, 5)}),
    Case("predrnn", SQUARE, {**SMALL, "hidden": (4,)}),
    Case("mim", SQUARE, {**SMALL, "hidden": (4,)}),
    Case("mim", SQUARE, {**SMALL, "hidden": (4, 4, 4, 4)}),
    Case("mau", SQUARE, {"hidden": (4,), "kernel": 5, "downsampling": 4, "window": 1}),
    Case("mau", WIDE, {"hidden": (4, 4, 4), "kernel": 3, "downsampling": 8, "recall": True, "window": 9}),
    Case("predrnnv2", SQUARE, {**SMALL, "decouple_weight": 0.7}),
    *(
        Case("mau", shape, {"hidden": (4, 4), "kernel": 3, "downsampling": factor, **options})
        for shape, factor in ((SQUARE, 2), (WIDE, 4), (TALL, 1))
        for options in ({}, {"recall": True}, {"residual": True, "window": 2}, {"recall": True, "residual": True})
    ),
    *(
        Case("swinlstm:b", shape, {**B_SIZES, "window": window, **options})
        for shape, window, options in (
            (SQUARE, 2, {"depth": 4}),
            (WIDE, 4, {"depth": 2, "output_activation": "none"}),
            (TALL, 3, {"depth": 1, "mlp_ratio": 2.5}),
        )
    ),
    *(
        Case("swinlstm:d", shape, {**D_SIZES, "window": window})
        for shape, window in ((LARGE_SQUARE, 2), (LARGE_WIDE, 4))
    ),
    Case(
        "swinlstm:d",
        LARGE_WIDE,
        {
            **D_SIZES,
            "num_heads": (1, 2, 4),
            "depths_downsample": (1, 2, 1),
            "depths_upsample": (2, 1, 3),
            "window": 2,
            "output_activation": "none",
        },
    ),
]


def build(case: Case) -> Method:
    """In float64, every parameter and statistic drawn at random: what starts at 0 or 1 must count too."""
    torch.manual_seed(3)
    method = create_method(case.method, case.shape, **case.settings).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.3)
        for name, buffer in method.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return method


def published(method: Method) -> dict[str, Tensor]:
    """The parameters themselves (so that gradients meet) and the buffers, under their published names."""
    keys = method.public_key_map()
    own = {**dict(method.named_parameters()), **dict(method.named_buffers())}
    return {keys[name]: tensor for name, tensor in own.items() if name in keys}


@pytest.mark.parametrize("case", ROLLED_CASES, ids=str)
@pytest.mark.parametrize("sampling", ["reverse", "scheduled"])
def test_training_rollout(case: Case, sampling: str) -> None:
    method = build(case)
    clip = torch.rand(3, case.shape.length, *case.shape.frame, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    feed = feed_mask(sampling, 3, case.shape.t_in, case.shape.t_out, Progress(step=24_000, generator=generator))
    emissions, extra = ROLLED[case.method](published(method), clip, feed, case.settings)
    expected = F.mse_loss(emissions, clip[:, 1:]) + extra
    parameters = list(method.parameters())
    expected_grads = torch.autograd.grad(expected, parameters, allow_unused=True)
    loss = method.rollout_losses(clip, feed)["loss"]
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    for (name, _), grad, expected_grad in zip(method.named_parameters(), grads, expected_grads, strict=True):
        seen, wanted = (torch.zeros(()) if g is None else g for g in (grad, expected_grad))
        torch.testing.assert_close(seen, wanted.to(seen).expand_as(seen), rtol=1e-6, atol=1e-10, msg=name)


@pytest.mark.parametrize("case", ROLLED_CASES, ids=str)
def test_prediction_of_the_rolled_out_methods(case: Case) -> None:
    method = build(case).eval()
    past = torch.rand(case.shape.past(2), dtype=torch.float64)
    feed = prediction_mask(2, case.shape.t_in, case.shape.t_out)
    with torch.no_grad():
        emissions, _ = ROLLED[case.method](published(method), past, feed, case.settings)
        torch.testing.assert_close(method(past), emissions[:, -case.shape.t_out :], rtol=1e-9, atol=1e-12)


STACK = {"hid_s": 4, "hid_t": 16, "n_s": 2, "n_t": 3}
STACKED: dict[str, Callable[..., Tensor]] = {
    "tau": lambda w, x, s: oracles.tau(w, x, s["n_s"]),
    "tau:no_sa": lambda w, x, s: oracles.tau(w, x, s["n_s"], statical=False),
    "tau:no_da": lambda w, x, s: oracles.tau(w, x, s["n_s"], dynamical=False),
    "simvp:gsta": lambda w, x, s: oracles.simvp_gsta(w, x, s["n_s"]),
    "simvp": lambda w, x, s: oracles.simvp_inception(w, x, s["n_s"], s.get("groups", 8)),
    **{
        f"simvp:{kind}": lambda w, x, s, kind=kind: oracles.simvp_metaformer(w, x, s["n_s"], kind)
        for kind in METAFORMERS
    },
}
METAFORMER = {"hid_s": 8, "hid_t": 16, "n_s": 2, "n_t": 3, "mlp_ratio": 2.0}
DEEP_FEATURES = ClipShape(t_in=2, t_out=3, channels=1, height=28, width=28)
STACKED_CASES = [
    *(Case(f"simvp:{kind}", LARGE_WIDE, METAFORMER) for kind in METAFORMERS),
    *(Case(f"simvp:{kind}", TALL, {**METAFORMER, "n_t": 2, "mlp_ratio": 1.3}) for kind in METAFORMERS),
    *(Case(f"simvp:{kind}", WIDE, {**METAFORMER, "hid_t": 24, "n_t": 4}) for kind in ("uniformer", "hornet")),
    Case("simvp:swin", DEEP_FEATURES, METAFORMER),
    Case("simvp:swin", SQUARE, {**METAFORMER, "hid_s": 6, "hid_t": 11}),
    Case("simvp:mlp", SQUARE, {**METAFORMER, "hid_s": 2, "hid_t": 7}),
    Case("simvp:convmixer", DEEP_FEATURES, {**METAFORMER, "hid_s": 2, "hid_t": 7}),
    *(Case(name, SQUARE, STACK) for name in ("tau", "tau:no_sa", "tau:no_da", "simvp:gsta")),
    *(Case(name, WIDE, {**STACK, "n_s": 4}) for name in ("tau", "simvp:gsta", "simvp")),
    *(Case(name, TALL, {**STACK, "n_s": 3, "n_t": 2, "kernel_enc": 5}) for name in ("tau", "simvp:gsta")),
    Case("simvp", SQUARE, {**STACK, "hid_s": 8}),
    Case("simvp", SQUARE, {**STACK, "hid_t": 24, "n_t": 2}),  # 12 does not divide by 8: one group
    Case("simvp", TALL, {**STACK, "n_s": 1, "groups": 4, "kernels": (1, 3)}),
]


@pytest.mark.parametrize("case", STACKED_CASES, ids=str)
def test_prediction_of_the_stacked_methods(case: Case) -> None:
    """T_out beyond T_in: the model reads its own last output; T_out below T_in: its first frames."""
    method = build(case).eval()
    past = torch.rand(case.shape.past(2), dtype=torch.float64)
    weights = published(method)
    with torch.no_grad():
        frames = STACKED[case.method](weights, past, case.settings)
        while frames.shape[1] < case.shape.t_out:
            more = STACKED[case.method](weights, frames[:, -case.shape.t_in :], case.settings)
            frames = torch.cat([frames, more], dim=1)
        torch.testing.assert_close(method(past), frames[:, : case.shape.t_out], rtol=1e-9, atol=1e-12)
