"""MAU, Motion-Aware Unit (Chang et al., NeurIPS 2021). Axes: B, C, H, W."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from stbench.nn import MethodConfig, Paper, Progress, PublicLayout, RecurrentForecaster, Sampling, check_odd, feed_mask
from stbench.nn.conv_recurrent import equal_widths, gate_macs
from stbench.nn.infer import depth, known, size
from stbench.schema import ClipShape

from .cell import MAUCell, Memory
from .codec import MAUCodec
from .presets import PRESETS

MAX_HALVINGS = 5
NORM_COST = 5
"""Multiply-adds that operator counters charge per element of a LayerNorm."""
State = list[list[Memory]]
"""Up to ``window`` memories of each layer, oldest first."""


class MAUConfig(MethodConfig):
    """Hyperparameters of MAU.

    ``hidden``: the width of each layer, equal for all. ``downsampling``: factor by which the encoder shrinks a frame.
    ``window``: number of past steps that the attention reads. ``recall``: adds encoder features in the decoder.
    ``residual``: adds a cell's spatial input to its output.
    """

    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 64, 64, 64)
    kernel: PositiveInt = 5
    downsampling: Literal[1, 2, 4, 8, 16, 32] = 4
    window: PositiveInt = 5
    recall: bool = False
    residual: bool = False
    sampling: Sampling = "scheduled"


class MAU(RecurrentForecaster):
    """Stacked motion-aware units between a strided encoder and its mirror."""

    Config = MAUConfig
    config: MAUConfig
    paper = Paper(
        title="MAU: A Motion-Aware Unit for Video Prediction and Beyond",
        authors="Chang et al.",
        venue="NeurIPS 2021",
        url="https://proceedings.neurips.cc/paper/2021/hash/e25cfa90f04351958216f97e3efdabe9-Abstract.html",
    )
    summary = "recurrent cells with attention to their recent states"
    small = {"hidden": (8, 8), "kernel": 3, "downsampling": 2}
    variants = {"recall": {"recall": True}, "residual": {"residual": True}}
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            (r"^cells\.", "cell_list."),
            (r"^codec\.embed\.", "encoders.0.encoder_t_conv-1."),
            *((rf"^codec\.down\.{i}\.", f"encoders.{i + 1}.encoder_t{i}.") for i in range(MAX_HALVINGS)),
            (r"^codec\.up\.(\d+)\.", r"decoders.\1.c_decoder\1."),
            (r"^codec\.readout\.", "srcnn.0."),
        ),
        dead=(r"merge\..*", r"conv_last_sr\..*"),
    )

    def __init__(self, shape: ClipShape, config: MAUConfig) -> None:
        super().__init__(shape, config)
        check_odd(config.kernel, "kernel")
        n = equal_widths(config.hidden, "MAU")
        self.codec = MAUCodec(shape, n, config.downsampling, config.recall)
        size = self.codec.height, self.codec.width
        self.cells = nn.ModuleList(
            MAUCell(n, config.kernel, size, config.window, config.residual) for _ in config.hidden
        )

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer width, depth and kernel of the cells, and the number of halvings from the number of encoder stages."""
        width, layers = size(state_dict, "cell_list.0.conv_t.0.weight", 1), depth(state_dict, "cell_list")
        encoders = depth(state_dict, "encoders")
        return known(
            hidden=(width,) * layers if width and layers else None,
            kernel=size(state_dict, "cell_list.0.conv_t.0.weight", 2),
            downsampling=1 << (encoders - 1) if encoders else None,
        )

    def idle_macs(self) -> int:
        """Count three convolutions and two LayerNorms per layer at the first step, where T is zero."""
        normalised = 2 * len(self.cells) * self.config.hidden[0] * self.codec.height * self.codec.width
        return gate_macs(self, "conv_t", "conv_t_next", "conv_s_next") + NORM_COST * normalised

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Draw which inputs are true frames under the configured sampling: (B, T_in+T_out−1) bool."""
        return feed_mask(self.config.sampling, batch, self.shape.t_in, self.shape.t_out, progress)

    def initial_state(self, frame: Tensor) -> State:  # noqa: ARG002 - an empty past needs no shape
        """Return an empty list of memories for every layer."""
        return [[] for _ in self.cells]

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        features = self.codec.encode(frame)
        s = features[-1]
        new_state: State = []
        for cell, memories in zip(self.cells, state, strict=True):
            t, out = cell(s, memories)
            new_state.append([*memories, (s, t)][-self.config.window :])
            s = out
        return self.codec.decode(s, features), new_state
