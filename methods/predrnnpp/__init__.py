"""PredRNN++ (Wang et al., ICML 2018): causal LSTM cells and a gradient highway. Axes: B, C, H, W."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn import Paper, PublicLayout
from stbench.nn.conv_recurrent import ConvRecurrent, ConvRecurrentConfig, GateConv, equal_widths, gate_macs, sum_gates
from stbench.schema import ClipShape

from .presets import PRESETS

HIGHWAY_INIT = 1e-3


class CausalLSTMCell(nn.Module):
    """Causal LSTM (eqs. 1–3): updates the layer's memory c first, then the shared memory m from it."""

    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_x = GateConv(c_in, 7 * n, kernel, size, layer_norm)
        self.conv_h = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.conv_c = GateConv(n, 3 * n, kernel, size, layer_norm)
        self.conv_m = GateConv(n, 3 * n, kernel, size, layer_norm)
        self.conv_c2m = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.conv_om = GateConv(n, n, kernel, size, layer_norm)
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(self, x: Tensor, h: Tensor | None, c: Tensor | None, m: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Map input (B, C_in, H', W') and states h, c, m (B, n, H', W') to the new h, c, m; None means zeros."""
        gates = sum_gates(
            (self.conv_x, x, "cccmmgo"), (self.conv_h, h, "ccco"), (self.conv_c, c, "ccc"), (self.conv_m, m, "mmk")
        )
        i, f, g = gates["c"].chunk(3, dim=1)
        kept = 0.0 if c is None else torch.sigmoid(f + 1.0) * c
        c = kept + torch.sigmoid(i) * torch.tanh(g)
        ik, gk, fk, ok = self.conv_c2m(c).chunk(4, dim=1)
        i, f = gates["m"].chunk(2, dim=1)
        kept = torch.sigmoid(f + fk + 1.0) * torch.tanh(gates["k"])
        m = kept + torch.sigmoid(i + ik) * torch.tanh(gates["g"] + gk)
        o = torch.tanh(gates["o"] + ok + self.conv_om(m))
        return o * torch.tanh(self.conv_last(torch.cat([c, m], dim=1))), c, m


class GradientHighway(nn.Module):
    """Gradient highway unit (eq. 4): z ← u⊙p + (1−u)⊙z, a short path through time for the gradient."""

    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_z = GateConv(n, 2 * n, kernel, size, layer_norm)
        self.conv_x = GateConv(n, 2 * n, kernel, size, layer_norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.uniform_(module.weight, -HIGHWAY_INIT, HIGHWAY_INIT)

    def forward(self, x: Tensor, z: Tensor | None) -> Tensor:
        """Map x and z (B, n, H', W') to the new z; a z of None means zeros."""
        p, u = sum_gates((self.conv_x, x, "gg"), (self.conv_z, z, "gg"))["g"].chunk(2, dim=1)
        u = torch.sigmoid(u)
        kept = 0.0 if z is None else (1.0 - u) * z
        return u * torch.tanh(p) + kept


class State(NamedTuple):
    """(h, c) of each layer, the shared memory and the highway; None means zeros."""

    layers: list[tuple[Tensor | None, Tensor | None]]
    m: Tensor | None
    z: Tensor | None


class PredRNNpp(ConvRecurrent):
    """Stacked causal LSTM layers, with a gradient highway between the first and the second."""

    Config = ConvRecurrentConfig
    paper = Paper(
        title="PredRNN++: Towards A Resolution of the Deep-in-Time Dilemma in Spatiotemporal Predictive Learning",
        authors="Wang et al.",
        venue="ICML 2018",
        url="https://arxiv.org/abs/1804.06300",
    )
    summary = "causal LSTM cells and a gradient highway through time"
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            (r"^cells\.", "cell_list."),
            (r"^codec\.readout\.", "conv_last."),
            (r"^highway\.conv_([zx])\.", r"gradient_highway.\1_concat."),
        ),
        dead=(r"cell_list\.\d+\.conv_o\..*",),
    )

    def __init__(self, shape: ClipShape, config: ConvRecurrentConfig) -> None:
        super().__init__(shape, config)
        n = equal_widths(config.hidden, "PredRNN++")
        if len(config.hidden) < 2:
            raise UserError(f"hidden = {list(config.hidden)}: the highway runs between two layers. Give at least 2.")
        self.cells = nn.ModuleList(
            CausalLSTMCell(c_in, n, config.kernel, self.size, config.layer_norm) for c_in in self.input_widths
        )
        self.highway = GradientHighway(n, config.kernel, self.size, config.layer_norm)

    def idle_macs(self) -> int:
        """Count convolutions of zeros at the first step: of h, c, the first layer's memory and the highway."""
        return gate_macs(self, "conv_h", "conv_c", "cells.0.conv_m", "highway.conv_z")

    def initial_state(self, frame: Tensor) -> State:  # noqa: ARG002 - an all-zero state needs no shape
        """Return the state in which everything is zero."""
        return State([(None, None)] * len(self.cells), None, None)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        x, skip = self.codec.encode(frame)
        m, z = state.m, state.z
        layers: list[tuple[Tensor | None, Tensor | None]] = []
        for level, (cell, (h, c)) in enumerate(zip(self.cells, state.layers, strict=True)):
            if level == 1:
                x = z = self.highway(x, z)
            x, c, m = cell(x, h, c, m)
            layers.append((x, c))
        return self.codec.decode(x, skip), State(layers, m, z)
