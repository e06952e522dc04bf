"""A training pass of the stacked methods against the slow version: loss, gradients, BatchNorm statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from stbench import Progress
from stbench.nn.drop_path import DropPath
from tests.methods.oracles import stacked
from tests.methods.test_oracles import SQUARE, STACKED, STACKED_CASES, TALL, WIDE, Case, build, published

MOMENTUM = 0.1
LONGER = SQUARE.model_copy(update={"t_in": 3, "t_out": 7})
STACK = {"hid_s": 4, "hid_t": 16, "n_s": 2, "n_t": 2}
CASES = [
    *STACKED_CASES,
    Case("tau", LONGER, {**STACK, "ddr_weight": 0.7, "ddr_temperature": 0.5}),
    Case("tau", WIDE, {**STACK, "hid_t": 12, "mlp_ratio": 2.5}),
    Case("simvp:gsta", TALL, {**STACK, "n_t": 5}),
]


class BatchStatistics:
    """Batch normalisation in training: the batch's own moments, and what the running ones become."""

    def __init__(self) -> None:
        self.running: dict[str, Tensor] = {}

    def __call__(self, weights: dict[str, Tensor], key: str, x: Tensor) -> Tensor:
        mean = x.mean((0, 2, 3))
        squares = ((x - mean[:, None, None]) ** 2).sum((0, 2, 3))
        count = x.numel() // x.shape[1]
        for name, value in (("running_mean", mean), ("running_var", squares / (count - 1))):
            before = self.running.get(f"{key}.{name}", weights[f"{key}.{name}"].clone())
            self.running[f"{key}.{name}"] = (1 - MOMENTUM) * before + MOMENTUM * value.detach()
        scale = weights[f"{key}.weight"] / (squares / count + 1e-5).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + weights[f"{key}.bias"][:, None, None]


def divergence(pred: Tensor, true: Tensor, temperature: float) -> Tensor:
    """The mean of p·log(p/(q+ε)+ε), clip by clip and change by change."""
    if pred.shape[1] <= 2:
        return pred.new_zeros(())
    terms = []
    for b in range(pred.shape[0]):
        for t in range(pred.shape[1] - 1):
            steps = [(x[b, t + 1] - x[b, t]).flatten() / temperature for x in (pred, true)]
            p, q = (torch.exp(step) / torch.exp(step).sum() for step in steps)
            terms.append((p * torch.log(p / (q + 1e-12) + 1e-12)).mean())
    return torch.stack(terms).mean()


def expected_loss(case: Case, weights: dict[str, Tensor], past: Tensor, future: Tensor) -> Tensor:
    run, settings = STACKED[case.method], case.settings
    frames = run(weights, past, settings)
    while frames.shape[1] < case.shape.t_out:
        frames = torch.cat([frames, run(weights, frames[:, -case.shape.t_in :], settings)], dim=1)
    pred = frames[:, : case.shape.t_out]
    mse = ((pred - future) ** 2).mean()
    if not case.method.startswith("tau"):
        return mse
    return mse + settings.get("ddr_weight", 0.1) * divergence(pred, future, settings.get("ddr_temperature", 0.1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_pass(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = BatchStatistics()
    monkeypatch.setattr(stacked, "batch_norm", statistics)
    method = build(case).train()
    for module in method.modules():
        if isinstance(module, DropPath):
            module.rate = 0.0
    clip = torch.rand(3, case.shape.length, *case.shape.frame, dtype=torch.float64)
    past, future = clip[:, : case.shape.t_in], clip[:, case.shape.t_in :]
    parameters: dict[str, Any] = dict(method.named_parameters())
    expected = expected_loss(case, published(method), past, future)
    expected_grads = torch.autograd.grad(expected, list(parameters.values()))
    loss = method.training_losses(past, future, Progress())["loss"]
    grads = torch.autograd.grad(loss, list(parameters.values()))
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    for name, grad, wanted in zip(parameters, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-5, atol=1e-8, msg=name)
    after = published(method)
    assert bool(statistics.running) == any(key.endswith("running_mean") for key in after)
    for key, wanted in statistics.running.items():
        torch.testing.assert_close(after[key], wanted, rtol=1e-8, atol=1e-10, msg=key)
