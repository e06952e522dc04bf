"""SwinLSTM (Tang et al., "SwinLSTM: Improving Spatiotemporal Prediction Accuracy using Swin Transformer and LSTM").

ICCV 2023, arXiv 2308.09891. Axes: B, T, C, H, W.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stbench.nn import (
    Paper,
    Progress,
    PublicLayout,
    RecurrentForecaster,
    StridedCodec,
    check_divisible,
    prediction_mask,
)
from stbench.nn.infer import depth, known, size
from stbench.nn.output import fitting_activation
from stbench.schema import Benchmark, ClipShape

from .cell import State
from .config import SwinLSTMConfig
from .nets import PATCH, BaseNet, DeepNet
from .presets import PRESETS

NETS = {"b": BaseNet, "d": DeepNet}


class SwinLSTM(RecurrentForecaster):
    """Swin blocks inside a recurrent cell; training feeds back its own predictions, never true future frames."""

    Config = SwinLSTMConfig
    config: SwinLSTMConfig
    paper = Paper(
        title="SwinLSTM: Improving Spatiotemporal Prediction Accuracy using Swin Transformer and LSTM",
        authors="Tang et al.",
        venue="ICCV 2023",
        url="https://arxiv.org/abs/2308.09891",
    )
    summary = "recurrent cells with shifted-window attention on a token grid"
    variants = {"b": {"model": "b"}, "d": {"model": "d"}}
    small = {
        "embed_dim": 8,
        "depth": 2,
        "num_heads": (2, 2),
        "depths_downsample": (1, 2),
        "depths_upsample": (2, 1),
    }
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            (r"^net\.b\.embed\.", "ST.patch_embed."),
            (r"^net\.b\.cell\.blocks\.", "ST.layer.STBs."),
            (r"^head\.b\.", "ST.patch_inflated.Conv."),
            (r"^net\.d\.embed\.", "Downsample.patch_embed."),
            (r"^net\.d\.down\.(\d+)\.blocks\.", r"Downsample.layers.\1.STBs."),
            (r"^net\.d\.merge\.", "Downsample.downsample."),
            (r"^net\.d\.up\.(\d+)\.blocks\.", r"Upsample.layers.\1.STBs."),
            (r"^net\.d\.expand\.", "Upsample.upsample."),
            (r"^head\.d\.", "Upsample.Unembed.Conv."),
            (r"\.bias_table$", ".relative_position_bias_table"),
        ),
        dead=(
            r".*\.STBs\.\d*[13579]\.red\.(weight|bias)",
            r"Upsample\.patch_embed\..*",
            r".*\.(relative_position_index|attn_mask)",
        ),
        copies=(
            (r"\.Swin\.layers\.(\d+)\.", r".STBs.\1."),
            (r"^ST\.patch_inflated\.ConvT\.", "ST.patch_inflated.Conv."),
        ),
    )

    def __init__(self, shape: ClipShape, config: SwinLSTMConfig) -> None:
        super().__init__(shape, config)
        shared = config.encoder == "shared"
        self.codec = self._shared_codec() if shared else None
        if self.codec is not None:
            self.grid, channels = (self.codec.height, self.codec.width), config.hid_s
        else:
            check_divisible(shape.height, shape.width, PATCH, "the patch embedding")
            self.grid, channels = (shape.height // PATCH, shape.width // PATCH), shape.channels
        net = NETS[config.model](channels, self.grid, config, 1 if shared else PATCH)
        self.net = nn.ModuleDict({config.model: net})
        head = nn.ConvTranspose2d(config.embed_dim, shape.channels, 3, 2, padding=1, output_padding=1)
        self.head = nn.ModuleDict({} if shared else {config.model: head})

    def _shared_codec(self) -> StridedCodec:
        config = self.config
        return StridedCodec(
            self.shape,
            hid_s=config.hid_s,
            n_s=config.n_s,
            hidden=config.embed_dim,
            kernel_enc=config.kernel_enc,
            kernel_dec=config.kernel_dec,
        )

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:
        """Drop the sigmoid if the benchmark has values outside [0, 1]."""
        return fitting_activation(benchmark)

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer the model (B or D), its widths, depths, heads and window."""
        state = {}
        for key, tensor in state_dict.items():
            for pattern, replacement in cls.public_layout.copies:
                key = re.sub(pattern, replacement, key)
            state[key] = tensor
        return _deep_config(state) if any(key.startswith("Downsample.") for key in state) else _base_config(state)

    @property
    def cells_net(self) -> BaseNet | DeepNet:
        """The network between the encoder and the head."""
        return self.net[self.config.model]  # type: ignore[return-value]

    def initial_state(self, frame: Tensor) -> list[State]:
        """Return zeros for every cell."""
        return [cell.initial_state(frame) for cell in self.cells_net.cells()]

    def step(self, frame: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Predict the frame after ``frame`` (B, C, H, W); return it and the new state of every cell."""
        features, skip = (frame, None) if self.codec is None else self.codec.encode(frame)
        net = self.cells_net
        tokens, state = net(net.embed(features), state)
        grid = tokens.reshape(len(tokens), *self.grid, -1).permute(0, 3, 1, 2)
        guess = self.head[self.config.model](grid) if self.codec is None else self.codec.decode(grid, skip)
        return (torch.sigmoid(guess) if self.config.output_activation == "sigmoid" else guess), state

    def draw_feed(self, batch: int, progress: Progress) -> Tensor:  # noqa: ARG002 - nothing is drawn
        """Feed true past frames and the model's own predictions of the future, also in training."""
        return prediction_mask(batch, self.shape.t_in, self.shape.t_out)


def _block_config(state: Mapping[str, Tensor], block: str, width: int | None) -> dict[str, Any]:
    """Infer MLP ratio and window from the blocks; a level smaller than the window shows only its own size."""
    tables = [tensor for key, tensor in state.items() if key.endswith("relative_position_bias_table")]
    hidden = size(state, f"{block}.mlp.fc1.weight", 0)
    return known(
        embed_dim=width,
        mlp_ratio=hidden / width if hidden and width else None,
        window=max((math.isqrt(len(table)) + 1) // 2 for table in tables) if tables else None,
    )


def _base_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = "ST.layer.STBs"
    heads = size(state, f"{blocks}.0.attn.relative_position_bias_table", 1)
    width = size(state, "ST.patch_embed.proj.weight", 0)
    found = known(depth=depth(state, blocks), num_heads=(heads,) if heads else None)
    return {"model": "b", **found, **_block_config(state, f"{blocks}.0", width)} if found else {}


def _deep_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    levels = range(depth(state, "Downsample.layers") or 0)
    tables = (f"Downsample.layers.{level}.STBs.0.attn.relative_position_bias_table" for level in levels)
    width = size(state, "Downsample.patch_embed.proj.weight", 0)
    return {
        "model": "d",
        "num_heads": tuple(size(state, key, 1) for key in tables),
        "depths_downsample": tuple(depth(state, f"Downsample.layers.{level}.STBs") for level in levels),
        "depths_upsample": tuple(depth(state, f"Upsample.layers.{level}.STBs") for level in reversed(levels)),
        **_block_config(state, "Downsample.layers.0.STBs.0", width),
    }
