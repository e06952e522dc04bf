"""TAU's attention keeps the framework's default weights, gSTA's gate those of its block."""

from __future__ import annotations

import math

import pytest
from torch import nn

from stbench import ClipShape, Method, create_method

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=16, width=16)


def gate_of(name: str) -> nn.Module:
    """The gate of the middle block of a method of 2·2 widened to 64 features."""
    method: Method = create_method(name, SHAPE, hid_s=16, hid_t=64, n_s=2, n_t=3)
    (gate,) = (m for n, m in method.named_modules() if n.endswith("blocks.1.attention.gate"))
    return gate


def layers(gate: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in gate.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_tau_keeps_the_framework_s_weights() -> None:
    """Uniform within ±1/√fan_in, biases too: the variance of a weight is 1/(3·fan_in)."""
    found = layers(gate_of("tau"))
    assert len(found) == 5
    for layer in found:
        fan_in = layer.weight[0].numel()
        assert layer.weight.abs().max().item() <= 1 / math.sqrt(fan_in) * (1 + 1e-6)
        assert layer.weight.var().item() == pytest.approx(1 / (3 * fan_in), rel=0.35)
        assert layer.bias is None or layer.bias.abs().max() > 0


def test_gsta_starts_as_its_block() -> None:
    """Normal with variance 2/fan_out, biases 0."""
    for layer in layers(gate_of("simvp:gsta")):
        assert isinstance(layer, nn.Conv2d)
        fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
        assert layer.weight.var().item() == pytest.approx(2 / fan_out, rel=0.35)
        assert layer.bias is not None
        assert layer.bias.abs().max() == 0
