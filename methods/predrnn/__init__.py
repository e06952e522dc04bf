"""PredRNN (Wang et al., NeurIPS 2017): a memory that travels through layers and time. Axes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn import Paper, PublicLayout
from stbench.nn.conv_recurrent import ConvRecurrent, ConvRecurrentConfig, GateConv, equal_widths, gate_macs, sum_gates
from stbench.schema import ClipShape

from .presets import PRESETS

State = tuple[list[tuple[Tensor | None, Tensor]], Tensor | None]
Increments = tuple[Tensor, Tensor]


class SpatiotemporalLSTMCell(nn.Module):
    """ST-LSTM (eq. 4): temporal memory c of the layer, spatiotemporal memory m shared by all layers."""

    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_x = GateConv(c_in, 7 * n, kernel, size, layer_norm)
        self.conv_h = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.conv_m = GateConv(n, 3 * n, kernel, size, layer_norm)
        self.conv_o = GateConv(2 * n, n, kernel, size, layer_norm)
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(
        self, x: Tensor, h: Tensor | None, c: Tensor, m: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Increments]:
        """Map input (B, C_in, H', W') and states h, c, m (B, n, H', W') to the new h, c, m and the increments of c, m.

        An h or m of None means zeros.
        """
        gates = sum_gates((self.conv_x, x, "cccmmmo"), (self.conv_h, h, "ccco"), (self.conv_m, m, "mmm"))
        i, f, g = gates["c"].chunk(3, dim=1)
        delta_c = torch.sigmoid(i) * torch.tanh(g)
        c = torch.sigmoid(f + 1.0) * c + delta_c
        i, f, g = gates["m"].chunk(3, dim=1)
        delta_m = torch.sigmoid(i) * torch.tanh(g)
        m = delta_m if m is None else torch.sigmoid(f + 1.0) * m + delta_m
        memories = torch.cat([c, m], dim=1)
        c = memories[:, : c.shape[1]]  # shared by this step and the next, so that the backward pass stores it once
        o = torch.sigmoid(gates["o"] + self.conv_o(memories))
        return o * torch.tanh(self.conv_last(memories)), c, m, (delta_c, delta_m)


class PredRNN(ConvRecurrent):
    """Stacked ST-LSTM layers; the memory passes up the layers, then to the first layer of the next step."""

    Config = ConvRecurrentConfig
    paper = Paper(
        title="PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal LSTMs",
        authors="Wang et al.",
        venue="NeurIPS 2017",
        url="https://proceedings.neurips.cc/paper/2017/hash/e5f6ad6ce374177eef023bf5d0c018b6-Abstract.html",
    )
    summary = "ConvLSTM with a spatiotemporal memory that passes up the layers and through time"
    presets = PRESETS
    public_layout = PublicLayout(
        renames=((r"^cells\.", "cell_list."), (r"^codec\.readout\.", "conv_last.")),
    )

    def __init__(self, shape: ClipShape, config: ConvRecurrentConfig) -> None:
        super().__init__(shape, config)
        n = equal_widths(config.hidden, "PredRNN")
        self.cells = nn.ModuleList(
            SpatiotemporalLSTMCell(c_in, n, config.kernel, self.size, config.layer_norm) for c_in in self.input_widths
        )

    def idle_macs(self) -> int:
        """Count convolutions of zeros at the first step: of every h, and of the memory in the first layer."""
        return gate_macs(self, "conv_h", "cells.0.conv_m")

    def initial_state(self, frame: Tensor) -> State:
        """Return zeros for every layer and for the shared memory."""
        n = self.config.hidden[0]
        return [(None, self.zeros(frame, n)) for _ in self.cells], None

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        layers, m = state
        x, skip = self.codec.encode(frame)
        new_layers: list[tuple[Tensor | None, Tensor]] = []
        for cell, (h, c) in zip(self.cells, layers, strict=True):
            x, c, m, _ = cell(x, h, c, m)
            new_layers.append((x, c))
        return self.codec.decode(x, skip), (new_layers, m)
