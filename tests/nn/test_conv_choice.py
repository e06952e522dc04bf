"""Choosing convolutions: which modules are affected, what is timed and kept, and that methods compute the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stbench import Progress
from stbench.nn import conv_choice
from stbench.nn.conv_choice import ChosenConv2d, choose_convolutions
from tests.methods.reference import SPREAD_FACTOR, Case
from tests.methods.small import SHAPE, build
from tests.methods.test_reference import CONVLSTM, PHYDNET, PREDRNN, PREDRNNPP, PREDRNNV2, name

FAST_SPREAD = 10.0
"""How often the direct convolution's tolerance a fast one may take: its rounding error is a few times as large."""


@pytest.fixture(params=["F(4x4)", "F(2x2)"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every convolution that can be fast takes this algorithm, without being timed."""
    monkeypatch.setattr(conv_choice, "_fastest", lambda *_: request.param)
    return str(request.param)


def test_only_dense_same_convolutions_of_stride_1_are_affected() -> None:
    plain = [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 7, padding=3),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
        nn.Conv2d(4, 4, (3, 5), padding=(1, 2)),
    ]
    fast = [nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 5, padding=2), nn.ConvTranspose2d(4, 2, 3, padding=1)]
    kinds = [type(module) for module in plain]
    method = nn.ModuleList([*plain, *fast])
    keys = list(method.state_dict())
    choose_convolutions(method, {})
    assert [type(module) for module in plain] == kinds
    assert all(type(module).__name__.startswith("Chosen") for module in fast)
    assert list(method.state_dict()) == keys


def test_a_shape_is_timed_once_by_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[object] = []
    monkeypatch.setattr(conv_choice, "_fastest", lambda *given: timed.append(given) or "F(2x2)")
    conv, found = nn.Conv2d(4, 4, 3, padding=1), {}
    choose_convolutions(conv, found)
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        conv(x)
    assert not found
    conv(x), conv(x[:1])
    assert found == {"3x3 4->4 8x8": "F(2x2)"}
    assert len(timed) == 1
    conv.double()(x.double())
    with torch.autocast("cpu", torch.bfloat16):
        conv.float()(x)
    assert len(timed) == 1


def test_the_fastest_by_the_clock_wins_and_near_ties_stay_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, winner in (([1.0, 0.5, 0.4], "F(2x2)"), ([1.0, 0.3, 0.4], "F(4x4)"), ([1.0, 0.97, 0.96], "direct")):
        clock = iter(seconds)
        monkeypatch.setattr(conv_choice, "_seconds", lambda run, clock=clock: next(clock))
        assert conv_choice._fastest(torch.randn(1, 2, 4, 4), 2, 3) == winner


def test_timing_runs_every_candidate() -> None:
    assert conv_choice._fastest(torch.randn(1, 2, 4, 4), 3, 5) in {"direct", "F(4x4)", "F(2x2)"}


@pytest.mark.parametrize("case", [CONVLSTM, PREDRNN, PREDRNNPP, PREDRNNV2, PHYDNET], ids=name)
def test_reference_tensors_with_fast_convolutions(case: Case, algorithm: str, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method, found = case.build(data), {}
    choose_convolutions(method, found)
    method.train().training_losses(data["batch_x"], data["batch_y"], Progress())["loss"].backward()
    assert set(found.values()) == {algorithm}
    with torch.no_grad():
        error = (method.eval()(data["batch_x"]) - data["eval_output"]).abs().max().item()
    assert error <= FAST_SPREAD * SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method_name", ["convlstm", "predrnn", "mim", "mau", "phydnet", "tau"])
def test_losses_and_gradients_are_those_of_direct_convolutions(
    method_name: str, checkpointing: bool, algorithm: str
) -> None:
    found: dict[str, str] = {}
    plain = gradients(method_name, None, checkpointing)
    for _ in range(2):  # the first time the shapes are unknown
        fast = gradients(method_name, found, checkpointing)
        for key, expected in plain.items():
            torch.testing.assert_close(fast[key], expected, rtol=1e-3, atol=1e-5, msg=key)
    assert set(found.values()) == {algorithm}


def gradients(method_name: str, found: dict[str, str] | None, checkpointing: bool) -> dict[str, Tensor]:
    torch.manual_seed(0)
    method = build(method_name).train()
    method.activation_checkpointing = checkpointing
    if found is not None:
        choose_convolutions(method, found)
        assert any(isinstance(module, ChosenConv2d) for module in method.modules())
    clip = torch.rand(2, SHAPE.length, *SHAPE.frame)
    progress = Progress(generator=torch.Generator().manual_seed(0))
    losses = method.training_losses(clip[:, : SHAPE.t_in], clip[:, SHAPE.t_in :], progress)
    losses["loss"].backward()
    found_gradients = {key: p.grad for key, p in method.named_parameters() if p.grad is not None}
    return {"loss": losses["loss"].detach(), **found_gradients}
