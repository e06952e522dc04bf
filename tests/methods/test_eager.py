"""Eager references against reference tensors and methods of equal weights: outputs, losses, gradients, steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stbench import Method, Progress
from stbench.nn import prediction_mask
from stbench.nn.gated_stack import DropPath
from tests.methods.reference import SHAPE, SPREAD_FACTOR, assert_close
from tests.methods.small import SHAPE as SMALL_SHAPE
from tests.methods.small import build as build_method
from tests.methods.test_reference import CONVLSTM, PHYDNET, PREDRNN, PREDRNNPP, PREDRNNV2, SIMVP, TAU, Case
from tests.support.eager import EAGER, EagerModel, TrainingStep, build, published_weights, random_mask

CASES = (TAU, SIMVP, CONVLSTM, PREDRNN, PREDRNNPP, PREDRNNV2, PHYDNET)


def name(case: Case) -> str:
    return case.file


def loaded(case: Case, data: dict[str, Any]) -> EagerModel:
    """The eager reference with the reference's weights; of those, only dead ones have no place."""
    model = build(case.method, SHAPE, case.settings)
    lost = model.load_state_dict(data["state_dict"], strict=False)
    assert lost.missing_keys == []
    return model


def mask_of(case: Case, data: dict[str, Any]) -> Tensor:
    if "train_mask_keep" not in data:
        return prediction_mask(len(data["batch_x"]), SHAPE.t_in, SHAPE.t_out)
    keep = data["train_mask_keep"]
    return torch.cat([torch.ones(len(keep), SHAPE.length - 1 - keep.shape[1]), keep], 1).bool()


@pytest.mark.parametrize("case", CASES, ids=name)
def test_reference_prediction(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    with torch.no_grad():
        error = (loaded(case, data).eval()(data["batch_x"]) - data["eval_output"]).abs().max().item()
    assert error <= SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_reference_loss_and_gradients(case: Case, shared_dir: Path) -> None:
    """PhyDNet's gradients in float64, for the reason that test_reference gives."""
    data = case.load(shared_dir)
    model = loaded(case, data).train()
    clip = torch.cat([data["batch_x"], data["batch_y"]], 1)
    if case is PHYDNET:
        model, clip = model.double(), clip.double()
    loss = model.loss(clip, mask_of(case, data))
    loss.backward()
    assert_close(loss.item(), float(data["train_loss_tf0" if case is PHYDNET else "train_loss"]), "loss")
    norms = {key: p.grad.norm().item() for key, p in model.named_parameters()}
    assert set(norms) == set(data["grads_norm"])
    for key, norm in norms.items():
        assert_close(norm, float(data["grads_norm"][key]), key)


def pair(method_name: str) -> tuple[Method, EagerModel]:
    """A small method in float64 and its eager reference with equal weights."""
    torch.manual_seed(0)
    method = build_method(method_name).double()
    for module in method.modules():
        if isinstance(module, DropPath):
            module.rate = 0.0
    model = build(method_name, SMALL_SHAPE, {**method.config.model_dump(), "drop_path": 0.0}).double()
    model.load_state_dict(published_weights(method), strict=True)
    return method, model


@pytest.mark.parametrize("method_name", EAGER)
def test_prediction_of_equal_weights(method_name: str) -> None:
    method, model = pair(method_name)
    past = torch.rand(SMALL_SHAPE.past(2), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(past), method.eval()(past), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method_name", EAGER)
def test_one_training_step_leaves_equal_weights(method_name: str) -> None:
    """Loss, and Adam's step (eps large enough that no gradient of rounding size decides a whole step)."""
    method, model = pair(method_name)
    clip = torch.rand(2, SMALL_SHAPE.length, *SMALL_SHAPE.frame, dtype=torch.float64)
    feed = random_mask(SMALL_SHAPE, 2)
    method.train()
    t_in = SMALL_SHAPE.t_in
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
