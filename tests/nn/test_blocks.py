"""DropPath's expectation, GateConv's answer to an all-zero state, the passes of a parallel method, stack rates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stbench import ClipShape
from stbench.nn import MethodConfig, ParallelForecaster, conv_choice
from stbench.nn.conv_choice import choose_convolutions
from stbench.nn.conv_recurrent import GateConv, gate_macs, sum_gates
from stbench.nn.drop_path import DropPath
from stbench.nn.gated_stack import GatedStack
from stbench.nn.gelu import gelu


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25).train()
    out = layer(torch.ones(20_000, 2, 3))
    per_sample = out.reshape(20_000, -1)
    assert torch.equal(per_sample.amin(1), per_sample.amax(1))
    assert sorted(set(per_sample[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1.0, abs=5 * (0.25 / 0.75 / 20_000) ** 0.5)


def test_drop_path_is_the_identity_when_it_should_be() -> None:
    x = torch.rand(4, 2)
    assert torch.equal(DropPath(0.5).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_gate_of_nothing_is_the_gate_of_zeros(layer_norm: bool, bias: bool) -> None:
    torch.manual_seed(0)
    gate = GateConv(3, 8, 5, (4, 6), layer_norm, bias)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.normal_()
    expected = gate(torch.zeros(2, 3, 4, 6))
    torch.testing.assert_close(gate(None).expand_as(expected), expected)
    assert [name for name, _ in gate.named_parameters()] == [
        "0.weight",
        *(["0.bias"] if bias else []),
        *(["1.weight", "1.bias"] if layer_norm else []),
    ]


def test_the_zero_gate_carries_the_norms_gradient() -> None:
    gate = GateConv(1, 4, 3, (2, 2), layer_norm=True)
    gate(None).sum().backward()
    assert gate[1].bias.grad.tolist() == torch.ones(4, 2, 2).tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_sums_of_gates(layer_norm: bool, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each letter's channels are the sum of all terms that have it; zeros may be given as None."""
    monkeypatch.setattr(conv_choice, "_fastest", lambda *_: "F(2x2)")
    wide, narrow = GateConv(3, 8, 3, (5, 6), layer_norm), GateConv(4, 6, 3, (5, 6), layer_norm)
    module = nn.ModuleList([wide, narrow])
    x, h = torch.randn(2, 3, 5, 6), torch.randn(2, 4, 5, 6)
    expected, other = wide(x), narrow(h)
    if fast:
        choose_convolutions(module, {})
    sums = sum_gates((wide, x, "ccmo"), (narrow, h, "cck"))
    torch.testing.assert_close(sums["c"], expected[:, :4] + other[:, :4])
    torch.testing.assert_close(sums["m"], expected[:, 4:6])
    torch.testing.assert_close(sums["o"], expected[:, 6:])
    torch.testing.assert_close(sums["k"], other[:, 4:])
    of_zeros = narrow(torch.zeros_like(h))
    sums = sum_gates((wide, x, "ccmo"), (narrow, None, "cck"))
    torch.testing.assert_close(sums["c"], expected[:, :4] + of_zeros[:, :4])
    torch.testing.assert_close(sums["k"].expand(2, 2, 5, 6), of_zeros[:, 4:])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gelu_in_either_memory_format(memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=memory_format).requires_grad_()
    y = gelu(x)
    assert y.is_contiguous(memory_format=memory_format)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(y, x * normal.cdf(x), atol=2e-6, rtol=1e-5)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, normal.cdf(x) + x * normal.log_prob(x).exp(), atol=2e-6, rtol=1e-5)


def test_gate_macs() -> None:
    module = nn.ModuleDict({"conv_h": GateConv(3, 8, 5, (4, 6), False), "conv_x": GateConv(2, 8, 3, (4, 6), False)})
    assert gate_macs(module, "conv_h") == 3 * 8 * 25 * 24
    assert gate_macs(module, "conv_h", "conv_x") == 3 * 8 * 25 * 24 + 2 * 8 * 9 * 24
    assert gate_macs(module, "conv_m") == 0


def test_stack_rates_start_at_a_hundredth() -> None:
    stack = GatedStack(4, 6, 3, lambda _: nn.Identity(), mlp_ratio=2, drop=0.0, drop_path=0.0)
    assert [block.drop_path.rate for block in stack.blocks] == pytest.approx([0.01, 0.005, 0.0])
    deep = GatedStack(4, 6, 4, lambda _: nn.Identity(), mlp_ratio=2, drop=0.0, drop_path=0.1)
    assert [block.drop_path.rate for block in deep.blocks] == pytest.approx([0.01, 0.04, 0.07, 0.1])


class Adder(ParallelForecaster):
    """Adds 10 to what it reads."""

    def predict_block(self, past: Tensor) -> Tensor:
        return past + 10


@pytest.mark.parametrize(
    ("t_out", "expected"), [(1, [10]), (2, [10, 11]), (3, [10, 11, 20]), (5, [10, 11, 20, 21, 30])]
)
def test_passes_of_a_parallel_method(t_out: int, expected: list[float]) -> None:
    shape = ClipShape(t_in=2, t_out=t_out, channels=1, height=1, width=1)
    past = torch.tensor([0.0, 1.0])[None, :, None, None, None]
    assert Adder(shape, MethodConfig())(past).flatten().tolist() == expected
