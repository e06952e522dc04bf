"""SimVP's translators by name: the inception U, or a stack of one kind of MetaFormer block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.gated_stack import DecomposedConv, GatedStack
from stbench.nn.infer import depth, known, size
from stbench.nn.stack import BlockPlace, BlockStack, StackBlock

from .config import SimVPConfig
from .convmixer import ConvMixerBlock
from .convnext import ConvNeXtBlock
from .hornet import HorNetBlock
from .inception import InceptionTranslator
from .mlp_mixer import MixerBlock
from .moganet import MogaBlock
from .poolformer import PoolFormerBlock
from .swin import SwinBlock
from .uniformer import uniformer_block
from .van import LargeKernelAttention
from .vit import ViTBlock

Size = tuple[int, int]


class SpatialGate(DecomposedConv):
    """Gated spatiotemporal attention: a 21×21 decomposed conv gives f and g; the output is σ(g) ⊙ f."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        f, g = super().forward(x).chunk(2, dim=1)
        return torch.sigmoid(g) * f


def _mlp(config: SimVPConfig) -> dict[str, float]:
    return {"mlp_ratio": config.mlp_ratio, "drop": config.drop}


BLOCKS: Mapping[str, Callable[[BlockPlace, Size, SimVPConfig], StackBlock]] = {
    "vit": lambda place, _, config: ViTBlock(place, **_mlp(config)),
    "swin": lambda place, size, config: SwinBlock(place, size, **_mlp(config)),
    "uniformer": lambda place, _, config: uniformer_block(place, **_mlp(config)),
    "mlp": lambda place, size, config: MixerBlock(place, size, **_mlp(config)),
    "convmixer": lambda place, *_: ConvMixerBlock(place),
    "poolformer": lambda place, _, config: PoolFormerBlock(place, **_mlp(config)),
    "convnext": lambda place, _, config: ConvNeXtBlock(place, mlp_ratio=config.mlp_ratio),
    "hornet": lambda place, _, config: HorNetBlock(place, mlp_ratio=config.mlp_ratio),
    "moga": lambda place, _, config: MogaBlock(place, **_mlp(config)),
}
"""Builders of blocks, by translator; they get the place in the stack and the features' size (H', W')."""


def build_translator(channels: int, size: Size, config: SimVPConfig) -> nn.Module:
    """Build the translator of ``config`` for features (B, channels, H', W').

    Raises:
        UserError: a setting does not fit the translator.
    """
    name, widths = config.translator, (channels, config.hid_t, config.n_t)
    if name == "inception":
        return InceptionTranslator(*widths, config.kernels, config.groups)
    if name == "gsta":
        return _gated(widths, SpatialGate, config)
    if config.mlp_ratio <= 1:
        raise UserError(f"mlp_ratio = {config.mlp_ratio}: the blocks of {name!r} need more than 1.")
    if name == "van":
        return _gated(widths, LargeKernelAttention, config, channels_last=True)
    return BlockStack(
        *widths,
        lambda place: BLOCKS[name](place, size, config),
        drop_path=config.drop_path,
        channels_last=True,
    )


def _gated(
    widths: tuple[int, int, int],
    gate: Callable[[int], nn.Module],
    config: SimVPConfig,
    *,
    channels_last: bool = False,
) -> GatedStack:
    return GatedStack(
        *widths,
        gate,
        mlp_ratio=config.mlp_ratio,
        drop=config.drop,
        drop_path=config.drop_path,
        channels_last=channels_last,
    )


BLOCK = "hid.enc.0.block"
SIGNS = {
    "swin": "attn.relative_position_bias_table",
    "uniformer": "pos_embed.weight",
    "vit": "attn.qkv.weight",
    "mlp": "mlp_tokens.fc1.weight",
    "convmixer": "conv_pw.weight",
    "convnext": "conv_dw.weight",
    "hornet": "gnconv.proj_in.weight",
    "moga": "attn.value.DW_conv0.weight",
    "gsta": "attn.spatial_gating_unit.conv1.weight",
    "poolformer": "layer_scale_1",
}
"""Published key of the first block that identifies its kind; the first match counts."""


def stack_config(state: Mapping[str, Tensor], channels: int) -> dict[str, Any]:
    """Infer kind and sizes of a published stack of blocks; empty if there is none.

    Args:
        state: in the public layout.
        channels: T_in·hid_S, the width of the stack unless a block changes it.
    """
    kind = next((name for name, key in SIGNS.items() if f"{BLOCK}.{key}" in state), None)
    if kind is None:
        return {}
    gate = f"{BLOCK}.{SIGNS['gsta']}"
    if kind == "gsta" and size(state, gate, 0) == size(state, gate, 1):
        kind = "van"
    expansions = (f"{BLOCK}.{name}.weight" for name in ("mlp.fc1", "mlp_channels.fc1", "pwconv1"))
    wide, narrow = next(((size(state, key, 0), size(state, key, 1)) for key in expansions if key in state), (0, 0))
    return known(
        translator=kind,
        hid_t=size(state, "hid.enc.0.reduction.weight", 0) or channels,
        n_t=depth(state, "hid.enc"),
        mlp_ratio=wide / narrow if wide and narrow else None,
    )


def inception_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the sizes of a published inception translator; empty if there is none."""
    unit = "hid.enc.0"
    hidden, share = size(state, f"{unit}.conv1.weight", 0), size(state, f"{unit}.layers.0.conv.weight", 1)
    if not hidden or not share:
        return {}
    branches = range(depth(state, f"{unit}.layers") or 0)
    return known(
        translator="inception",
        hid_t=2 * hidden,
        n_t=depth(state, "hid.enc"),
        kernels=tuple(size(state, f"{unit}.layers.{branch}.conv.weight", 2) for branch in branches),
        groups=hidden // share,
    )
