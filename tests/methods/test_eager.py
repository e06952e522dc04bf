"""Eager references against reference tensors and methods of equal weights: outputs, losses, gradients, steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stbench import ClipShape, Method, Progress, create_method
from stbench.nn import METHODS, prediction_mask
from stbench.nn.drop_path import DropPath
from tests.methods.reference import ABS, REL, SPREAD_FACTOR, Case
from tests.methods.small import SHAPE as SMALL_SHAPE
from tests.methods.small import build as build_method
from tests.methods.test_reference import (
    CONVLSTM,
    MAU,
    MIM,
    PHYDNET,
    PREDRNN,
    PREDRNNPP,
    PREDRNNV2,
    SIMVP,
    SMALL_FRAMES,
    SWINLSTM,
    TAU,
    TRANSLATED,
)
from tests.support.eager import EAGER, EagerModel, TrainingStep, build, published_weights, random_mask

STILL = {"drop_path": 0.0, "dropout": 0.0, "attn_dropout": 0.0}
VARIANTS = tuple(METHODS.get("predformer").variants)
PREDFORMER = {"patch": 4, "dim": 16, "heads": 2, "dim_head": 8, "scale_dim": 2, "ndepth": 2}
E3DLSTM = {"hidden": (8, 8), "patch": 2}
MMVP = {"hid_s": 6, "hid_t": 8, "encoder_blocks": 1, "decoder_blocks": 1, "enhancer_blocks": 1}
WAST = {"encoder_dim": 4, "blocks": (1, 2, 1), "hffl_weight": 1.0}


@dataclass(frozen=True)
class Reference:
    """A reference file; ``suffix``: form of the method in it; ``exact``: gradients need float64 (test_reference)."""

    case: Case
    suffix: str = ""
    loss: str = "train_loss"
    exact: bool = False
    tolerance: float = REL

    def __str__(self) -> str:
        return self.case.file + self.suffix


def predformer(name: str, **more: Any) -> Case:
    variant = name.removesuffix("_skip")
    return Case(f"predformer_{name}", f"predformer:{variant}", {**PREDFORMER, **more}, SMALL_FRAMES)


TRAINED = (
    *(Reference(case) for case in (TAU, SIMVP, CONVLSTM, PREDRNN, PREDRNNPP, PREDRNNV2, *TRANSLATED, *SWINLSTM)),
    Reference(PHYDNET, loss="train_loss_tf0", exact=True),
    *(Reference(predformer(name)) for name in VARIANTS if name != "facst"),
    Reference(predformer("facst"), "_ordered"),
    Reference(predformer("triplet_sts_skip", layer_skip=True)),
    Reference(Case("wast_small", "wast", WAST, SMALL_FRAMES)),
    Reference(Case("mmvp_small", "mmvp", {**MMVP, "ratios": (2, 2, 2)}), exact=True, tolerance=1e-4),
    Reference(Case("mmvp_two_scales_16", "mmvp", {**MMVP, "ratios": (2, 2)}, SMALL_FRAMES), exact=True, tolerance=1e-4),
    Reference(Case("e3dlstm_ln0", "e3dlstm", E3DLSTM, SMALL_FRAMES)),
    Reference(Case("e3dlstm_ln0", "e3dlstm:carried", E3DLSTM, SMALL_FRAMES), "_carried"),
    Reference(Case("e3dlstm_ln0", "e3dlstm:paper", E3DLSTM, SMALL_FRAMES), "_paper"),
)
PREDICTED = (*TRAINED, Reference(MIM), Reference(MAU))


def loaded(case: Case, data: dict[str, Any]) -> EagerModel:
    """The eager reference with the reference's weights; of those, only dead ones have no place."""
    config = create_method(case.method, case.shape, **case.settings).config.model_dump()
    model = build(case.method, case.shape, {**config, **STILL})
    lost = model.load_state_dict(data["state_dict"], strict=False)
    assert lost.missing_keys == []
    return model


def mask_of(shape: ClipShape, data: dict[str, Any]) -> Tensor:
    if "train_mask_keep" not in data:
        return prediction_mask(len(data["batch_x"]), shape.t_in, shape.t_out)
    keep = data["train_mask_keep"]
    return torch.cat([torch.ones(len(keep), shape.length - 1 - keep.shape[1]), keep], 1).bool()


@pytest.mark.parametrize("reference", PREDICTED, ids=str)
def test_reference_prediction(reference: Reference, shared_dir: Path) -> None:
    data = reference.case.load(shared_dir)
    with torch.no_grad():
        seen = loaded(reference.case, data).eval()(data["batch_x"])
    error = (seen - data[f"eval_output{reference.suffix}"]).abs().max().item()
    assert error <= SPREAD_FACTOR * data.get(f"eval_spread{reference.suffix}", data["eval_spread"])


@pytest.mark.parametrize("reference", TRAINED, ids=str)
def test_reference_loss_and_gradients(reference: Reference, shared_dir: Path) -> None:
    data = reference.case.load(shared_dir)
    model = loaded(reference.case, data).train()
    clip = torch.cat([data["batch_x"], data["batch_y"]], 1)
    if reference.exact:
        model, clip = model.double(), clip.double()
    loss = model.loss(clip, mask_of(reference.case.shape, data))
    loss.backward()
    assert isclose(loss.item(), float(data[f"{reference.loss}{reference.suffix}"]), rel_tol=REL, abs_tol=ABS)
    norms = {key: p.grad.norm().item() for key, p in model.named_parameters()}
    expected = data[f"grads_norm{reference.suffix}"]
    assert {key for key, norm in expected.items() if norm > 0} <= set(norms) <= set(expected)
    for key, norm in norms.items():
        assert isclose(norm, float(expected[key]), rel_tol=reference.tolerance, abs_tol=ABS), key


NAMES = (*EAGER, "e3dlstm:paper", "mau:recall", "mau:residual")
SIZES: dict[str, dict[str, Any]] = {"predformer": STILL, "wast": {"encoder_dim": 4, "blocks": (1, 1, 1)}}
EVEN = {"wast": SMALL_SHAPE.model_copy(update={"t_in": 4})}
"""WaST needs an even number of past frames."""


def pair(method_name: str) -> tuple[Method, EagerModel]:
    """A small method in float64 and its eager reference with equal weights."""
    torch.manual_seed(0)
    shape = EVEN.get(method_name, SMALL_SHAPE)
    method = build_method(method_name, shape, **SIZES.get(method_name, {})).double()
    for module in method.modules():
        if isinstance(module, DropPath):
            module.rate = 0.0
    model = build(method_name, shape, {**method.config.model_dump(), "drop_path": 0.0}).double()
    model.load_state_dict(published_weights(method), strict=True)
    return method, model


@pytest.mark.parametrize("method_name", NAMES)
def test_prediction_of_equal_weights(method_name: str) -> None:
    method, model = pair(method_name)
    past = torch.rand(method.shape.past(2), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(past), method.eval()(past), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method_name", NAMES)
def test_one_training_step_leaves_equal_weights(method_name: str) -> None:
    """Loss, and Adam's step (eps large enough that no gradient of rounding size decides a whole step)."""
    method, model = pair(method_name)
    shape = method.shape
    clip = torch.rand(2, shape.length, *shape.frame, dtype=torch.float64)
    feed = random_mask(shape, 2)
    method.train()
    t_in = shape.t_in
    recurrent = hasattr(method, "rollout_losses")
    losses = (
        method.rollout_losses(clip, feed)
        if recurrent
        else method.training_losses(clip[:, :t_in], clip[:, t_in:], Progress())
    )
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2, eps=1e-3)
    losses["loss"].backward()
    optimizer.step()
    step = TrainingStep(model, lr=1e-2)
    step.optimizer.param_groups[0]["eps"] = 1e-3
    torch.testing.assert_close(step(clip, feed), losses["loss"].detach(), rtol=1e-9, atol=1e-12)
    after = method.public_state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, after[key], rtol=1e-7, atol=1e-9, msg=key)
