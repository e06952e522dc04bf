"""MIM, Memory In Memory (Wang et al., CVPR 2019): a separate memory of differences. Axes: B, C, H, W."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from stbench.nn import Paper, PublicLayout
from stbench.nn.conv_recurrent import ConvRecurrent, ConvRecurrentConfig, equal_widths, gate_macs
from stbench.schema import ClipShape

from ..predrnn import SpatiotemporalLSTMCell
from .cells import MIMBlock, PeepholeLSTMCell
from .presets import PRESETS

Layers = list[tuple[Tensor | None, Tensor | None]]


class State(NamedTuple):
    """State between steps; None means zeros.

    ``layers``: (h, c) of each layer; ``m``: the shared memory; ``inner``: s of each MIM block; ``differences``: (h, c)
    of each MIM-N cell.
    """

    layers: Layers
    m: Tensor | None
    inner: list[Tensor | None]
    differences: Layers


class MIM(ConvRecurrent):
    """A PredRNN layer below MIM blocks; MIM-N cells pass the first layer's change between steps up the blocks."""

    Config = ConvRecurrentConfig
    paper = Paper(
        title="Memory In Memory: A Predictive Neural Network for Learning Higher-Order Non-Stationarity",
        authors="Wang et al.",
        venue="CVPR 2019",
        url="https://arxiv.org/abs/1811.07490",
    )
    summary = "PredRNN with memories updated from a memory of differences"
    small = {"hidden": (8, 8, 8), "kernel": 3}
    public_cells = "stlstm_layer"
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            (r"^cells\.([1-9]\d*)\.conv_([tsx])\.", r"cells.\1.conv_\2_cc."),
            (r"^(cells\.\d+\.stationary|differences\.\d+)\.conv_([hx])\.", r"\1.conv_\2_concat."),
            (r"\.input_forget$", ".ct_weight"),
            (r"\.output$", ".oc_weight"),
            (r"\.stationary\.", "."),
            (r"^cells\.", "stlstm_layer."),
            (r"^differences\.", "stlstm_layer_diff."),
            (r"^codec\.readout\.", "conv_last."),
        ),
        dead=(r"stlstm_layer_diff\.\d+\.conv_last\..*",),
    )

    def __init__(self, shape: ClipShape, config: ConvRecurrentConfig) -> None:
        super().__init__(shape, config)
        n, kernel, norm = equal_widths(config.hidden, "MIM"), config.kernel, config.layer_norm
        first = SpatiotemporalLSTMCell(self.codec.channels, n, kernel, self.size, norm)
        above = config.hidden[1:]
        self.cells = nn.ModuleList([first, *(MIMBlock(n, kernel, self.size, norm) for _ in above)])
        self.differences = nn.ModuleList(PeepholeLSTMCell(n, kernel, self.size, norm) for _ in above)

    def idle_macs(self) -> int:
        """Count convolutions of zeros: states and differences at the first step, MIM-N's output at the second."""
        first_layer = gate_macs(self, "cells.0.conv_h", "cells.0.conv_m")
        blocks = gate_macs(self, "conv_t", "stationary.conv_h", "stationary.conv_x")
        return first_layer + blocks + gate_macs(self.differences, "conv_h")

    def initial_state(self, frame: Tensor) -> State:
        """Return the state in which everything is zero."""
        layers: Layers = [(None, self.zeros(frame, self.config.hidden[0])), *[(None, None)] * len(self.differences)]
        return State(layers, None, [None] * len(self.differences), [(None, None)] * len(self.differences))

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        x, skip = self.codec.encode(frame)
        h_before, c = state.layers[0]
        x, c, m, _ = self.cells[0](x, h_before, c, state.m)
        change = None if h_before is None else x - h_before
        layers: Layers = [(x, c)]
        inner: list[Tensor | None] = []
        differences: Layers = []
        for block, differ, (h, c), s, (h_n, c_n) in zip(
            self.cells[1:], self.differences, state.layers[1:], state.inner, state.differences, strict=True
        ):
            if change is not None:
                change, c_n = differ(change, h_n, c_n)
            x, c, m, s = block(x, change, h, c, m, s)
            layers.append((x, c))
            inner.append(s)
            differences.append((change, c_n))
        # not State(...)._replace(m=m): torch.compile of torch 2.11 cannot trace it
        return self.codec.decode(x, skip), State(layers, m, inner, differences)
