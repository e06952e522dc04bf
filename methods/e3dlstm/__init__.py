"""E3D-LSTM, Eidetic 3D LSTM (Wang et al., ICLR 2019). Axes: B, T, C, H, W, and D for the depth of two frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn import (
    EncoderConfig,
    Known,
    Paper,
    PatchCodec,
    Progress,
    PublicLayout,
    RecurrentForecaster,
    Sampling,
    StridedCodec,
    depth_to_space,
    feed_mask,
    mean_absolute_error,
    mean_squared_error,
)
from stbench.nn.conv_recurrent import equal_widths
from stbench.nn.infer import depth, known, size
from stbench.schema import ClipShape

from .cell import DEPTH, EideticCell, LayerState, Memory, Recall
from .presets import PRESETS

NORM_COST = 5
"""Multiply-adds that operator counters charge per element of a LayerNorm."""


class E3DLSTMConfig(EncoderConfig):
    """Hyperparameters of E3D-LSTM.

    ``hidden``: the width of each layer, equal for all. ``stride``: of the cells' convolutions, which are resized back.

    ``memory``: "carried" updates the memory as in the paper, m ← m*. "frozen" repeats the published code, in which each
    layer passes on the memory it received, so that it stays 0. ``recall``: "channels" uses the channels of one position
    as a query or key, as in the paper. "memory_order" cuts them as they lie in memory, as public checkpoints need.
    """

    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 128, 128)
    patch: PositiveInt = 4
    stride: PositiveInt = 1
    layer_norm: bool = False
    memory: Memory = "frozen"
    recall: Recall = "memory_order"
    sampling: Sampling = "scheduled"


class State(NamedTuple):
    """Features of the previous frame, the state of each layer, and the memory; None means zeros."""

    features: Tensor | None
    layers: list[LayerState]
    m: Tensor | None


class DepthPatchCodec(PatchCodec):
    """Encode with space-to-depth; decode with a (2, 1, 1) conv over both depth planes and depth-to-space."""

    def __init__(self, shape: ClipShape, patch: int, hidden: int) -> None:
        super().__init__(shape, patch, hidden)
        self.readout = nn.Conv3d(hidden, self.channels, (DEPTH, 1, 1), bias=False)  # type: ignore[assignment]

    def decode(self, features: Tensor, skip: Tensor | None) -> Tensor:  # noqa: ARG002 - one interface
        """Map (B, 2·hidden, H', W'), the two planes of a channel adjacent, to (B, C, H, W)."""
        return depth_to_space(F.conv2d(features, self.readout.weight.flatten(1, 2)), self.patch)


class E3DLSTM(RecurrentForecaster):
    """Stacked eidetic cells over windows of two frames, trained on MSE and mean absolute error."""

    Config = E3DLSTMConfig
    config: E3DLSTMConfig
    paper = Paper(
        title="Eidetic 3D LSTM: A Model for Video Prediction and Beyond",
        authors="Wang et al.",
        venue="ICLR 2019",
        url="https://openreview.net/forum?id=B1lKS2AqtX",
    )
    summary = "recurrent cells with 3-D convolutions and attention to all earlier cell states"
    leaves_out_missing = True
    presets = PRESETS
    small = {"hidden": (8, 8), "patch": 4}
    variants = {"carried": {"memory": "carried"}, "paper": {"memory": "carried", "recall": "channels"}}
    public_layout = PublicLayout(
        renames=(
            (r"^cells\.", "cell_list."),
            (r"^codec\.readout\.", "conv_last."),
            (r"\.memory_bias$", ".conv_gm.1.bias"),
            (r"\.conv_m\.", ".conv_gm."),
            (r"\.conv_new_memory\.", ".conv_new_gm."),
            (r"\.(conv_(?:x|h|gm|new_cell|new_gm))\.weight$", r".\1.0.conv3d.weight"),
            (r"^(cell_list\.\d+)\.norm\.", r"\1._norm_c_t."),
            (r"\.norm\.", ".1."),
            (r"^(cell_list\.\d+\.conv_last)\.", r"\1.conv3d."),
        ),
        dead=(r"cell_list\.\d+\.conv_gm\.(0\.conv3d|1)\.weight",),
    )

    def __init__(self, shape: ClipShape, config: E3DLSTMConfig) -> None:
        super().__init__(shape, config)
        n = equal_widths(config.hidden, "E3D-LSTM")
        self.codec = self._codec(shape, config, n)
        self.cells = nn.ModuleList(
            EideticCell(
                c_in,
                n,
                stride=config.stride,
                size=(self.codec.height, self.codec.width),
                layer_norm=config.layer_norm,
                memory=config.memory,
                recall=config.recall,
            )
            for c_in in (self.codec.channels, *config.hidden[:-1])
        )

    @staticmethod
    def _codec(shape: ClipShape, config: E3DLSTMConfig, n: int) -> DepthPatchCodec | StridedCodec:
        if config.encoder == "paper":
            return DepthPatchCodec(shape, config.patch, n)
        return StridedCodec(
            shape,
            hid_s=config.hid_s,
            n_s=config.n_s,
            hidden=DEPTH * n,
            kernel_enc=config.kernel_enc,
            kernel_dec=config.kernel_dec,
        )

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Infer widths, patch and layer norm; stride, memory and recall do not show in tensor shapes."""
        first = "cell_list.0.conv_x.0.conv3d.weight"
        width, layers = size(state_dict, "cell_list.0.conv_h.0.conv3d.weight", 1), depth(state_dict, "cell_list")
        area, rest = divmod(size(state_dict, first, 1) or 0, shape.channels)
        patch = round(area**0.5)
        return known(
            hidden=(width,) * layers if width and layers else None,
            patch=patch if patch and not rest and patch * patch == area else None,
            layer_norm="cell_list.0.conv_x.1.weight" in state_dict if width else None,
        )

    def load_public_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load public weights; the memory's convolutions are dead only if ``memory`` is "frozen"."""
        dead = self.public_layout.dead if self.config.memory == "frozen" else ()
        layout = replace(self.public_layout, dead=dead)
        self.load_state_dict(layout.to_own(state_dict, self.state_dict(), type(self).__name__))

    def idle_macs(self) -> int:
        """Count convolutions of zeros, the unused gate f', and products of equal or zero rows.

        fvcore, the counter behind the published numbers, prints the FLOPs of an einsum with four digits and reads them
        back; the attention's products are rounded here in the same way.
        """
        cells: list[EideticCell] = list(self.cells)  # type: ignore[arg-type]
        steps, n, rows = self.shape.length - 1, cells[0].n, DEPTH * self.codec.height * self.codec.width
        idle = sum(cell.conv_h.macs for cell in cells)
        if self.config.memory == "carried":
            idle += cells[0].conv_h.macs  # the same size as the memory's
        else:
            norm = NORM_COST * 4 * n * rows if self.config.layer_norm else 0
            idle += steps * sum(cell.conv_h.macs + norm for cell in cells)
        idle += steps * sum(cell.conv_x.macs * (7 - cell.gates_of_x) // 7 for cell in cells)
        for t in range(steps):
            run = cells[0].queries if t else 0
            product = rows * (t + 1) * n
            counted = int(float(f"{2 * rows * product:.3e}")) // 2
            idle += 2 * len(cells) * (counted - run * product)
        return idle

    def initial_state(self, frame: Tensor) -> State:  # noqa: ARG002 - an all-zero state needs no shape
        """Return the state in which everything is zero."""
        return State(None, [LayerState(None, None, ())] * len(self.cells), None)

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state."""
        features, skip = self.codec.encode(frame)
        before = torch.zeros_like(features) if state.features is None else state.features
        x, m = torch.stack([before, features], dim=2), state.m
        layers = []
        for cell, layer in zip(self.cells, state.layers, strict=True):
            new, m = cell(x, layer, m if self.config.memory == "carried" else None)
            layers.append(new)
            x = new.h
        return self.codec.decode(x.flatten(1, 2), skip), State(features, layers, m)

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:
        """Draw which inputs are true frames under the configured sampling: (B, T_in+T_out−1) bool."""
        return feed_mask(self.config.sampling, batch, self.shape.t_in, self.shape.t_out, progress)

    def rollout_losses(self, clip: Tensor, feed_true: Tensor, known: Known | None = None) -> dict[str, Tensor]:
        """Return MSE plus mean absolute error of all emissions (means, where the authors' code has sums)."""
        emissions, true = self.rollout(clip, feed_true), clip[:, 1:]
        mse = mean_squared_error(emissions, true, known)
        mae = mean_absolute_error(emissions, true, known)
        return {"loss": mse + mae, "mse": mse, "mae": mae}
