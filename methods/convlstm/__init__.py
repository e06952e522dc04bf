"""ConvLSTM (Shi et al., "Convolutional LSTM Network", NeurIPS 2015, arXiv 1506.04214). Axes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn import Paper, PublicLayout
from stbench.nn.conv_recurrent import ConvRecurrent, ConvRecurrentConfig, GateConv, gate_macs, sum_gates
from stbench.schema import ClipShape

from .presets import PRESETS

State = list[tuple[Tensor | None, Tensor]]


class ConvLSTMCell(nn.Module):
    """One ConvLSTM layer with gates (i, f, g, o) and without peepholes (eq. 3)."""

    def __init__(self, c_in: int, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_x = GateConv(c_in, 4 * n, kernel, size, layer_norm)
        self.conv_h = GateConv(n, 4 * n, kernel, size, layer_norm)

    def forward(self, x: Tensor, h: Tensor | None, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map input (B, C_in, H', W') and states h, c (B, n, H', W') to the new h and c; h None means zeros."""
        gates = sum_gates((self.conv_x, x, "gggg"), (self.conv_h, h, "gggg"))["g"]
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ConvLSTM(ConvRecurrent):
    """Stacked ConvLSTM layers, rolled out frame by frame."""

    Config = ConvRecurrentConfig
    paper = Paper(
        title="Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting",
        authors="Shi et al.",
        venue="NeurIPS 2015",
        url="https://arxiv.org/abs/1506.04214",
    )
    summary = "stacked LSTM layers with convolutions in place of matrix products"
    presets = PRESETS
    public_layout = PublicLayout(
        renames=((r"^cells\.", "cell_list."), (r"^codec\.readout\.", "conv_last.")),
        dead=(r"cell_list\.\d+\.conv_o\..*", r"cell_list\.\d+\.conv_last\..*"),
    )

    def __init__(self, shape: ClipShape, config: ConvRecurrentConfig) -> None:
        super().__init__(shape, config)
        self.cells = nn.ModuleList(
            ConvLSTMCell(c_in, n, config.kernel, self.size, config.layer_norm)
            for c_in, n in zip(self.input_widths, config.hidden, strict=True)
        )

    def idle_macs(self) -> int:
        """Count the convolutions of h at the first step, where h is zero."""
        return gate_macs(self, "conv_h")

    def initial_state(self, frame: Tensor) -> State:
        """Return zeros for every layer."""
        return [(None, self.zeros(frame, n)) for n in self.config.hidden]

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        x, skip = self.codec.encode(frame)
        new_state: State = []
        for cell, (h, c) in zip(self.cells, state, strict=True):
            x, c = cell(x, h, c)
            new_state.append((x, c))
        return self.codec.decode(x, skip), new_state
