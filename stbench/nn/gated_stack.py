"""The temporal module of TAU, SimVP-gSTA and SimVP-VAN: gated convolutional blocks over channel-stacked frames.

Sources: Tan et al., "Temporal Attention Unit", CVPR 2023; Tan et al., "SimVP: Towards Simple yet Powerful
Spatiotemporal Predictive Learning", 2022. Axes: B, C = T_in·hid_S features of all past frames, H', W'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath
from stbench.nn.gelu import GELU
from stbench.nn.initial import scale_convolution
from stbench.nn.recompute import recompute
from stbench.nn.stack import BlockPlace, BlockStack, StackBlock

LAYER_SCALE = 1e-2
Initial = Literal["block", "framework"]


class DecomposedConv(nn.Module):
    """A 21×21 receptive field: 5×5 depth-wise → 7×7 depth-wise with dilation 3 → 1×1 to ``c_out``."""

    def __init__(self, channels: int, c_out: int) -> None:
        super().__init__()
        self.local = DepthwiseConv(channels, 5)
        self.dilated = DepthwiseConv(channels, 7, dilation=3)
        self.mix = nn.Conv2d(channels, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C_out, H, W)."""
        return self.mix(self.dilated(self.local(x)))  # type: ignore[no-any-return]


class GatedAttention(nn.Module):
    """A(u) = u + P2(gate(GELU(P1 u))) with 1×1 convs P1, P2."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.act = GELU()
        self.gate = gate
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return u + recompute(self._gated, self.proj_1(u))

    def _gated(self, v: Tensor) -> Tensor:
        """Apply all but the first conv; recomputed in the backward pass, which stores only ``v``."""
        return self.proj_2(self.gate(self.act(v)))  # type: ignore[no-any-return]


class ConvFeedForward(nn.Module):
    """M: 1×1 to ratio·C → depth-wise 3×3 → GELU → 1×1 back, dropout after GELU and at the end."""

    def __init__(self, channels: int, ratio: float, drop: float) -> None:
        super().__init__()
        hidden = int(channels * ratio)
        if hidden < 1:
            raise UserError(f"mlp_ratio = {ratio}: nothing is left of {channels} channels. Use at least 1/{channels}.")
        self.expand = nn.Conv2d(channels, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = GELU()
        self.shrink = nn.Conv2d(hidden, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.drop(recompute(self._shrunk, self.expand(x), draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _shrunk(self, wide: Tensor) -> Tensor:
        """Apply what follows the wide conv; recomputed in the backward pass, which stores only ``wide``."""
        return self.shrink(self.drop(self.act(self.depthwise(wide))))  # type: ignore[no-any-return]


class GatedBlock(StackBlock):
    """z ← z + DropPath(γ1 ⊙ A(BN(z))); z ← z + DropPath(γ2 ⊙ M(BN(z)))."""

    def __init__(
        self, channels: int, gate: nn.Module, *, mlp_ratio: float, drop: float, drop_path: float, initial_gate: Initial
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attention = GatedAttention(channels, gate)
        self.norm2 = nn.BatchNorm2d(channels)
        self.feed_forward = ConvFeedForward(channels, mlp_ratio, drop)
        self.drop_path = DropPath(drop_path)
        self.gamma1 = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.gamma2 = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        kept = set(gate.modules()) if initial_gate == "framework" else set()
        self.apply(lambda module: None if module in kept else _init_block(module))

    def mix(self, z: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        z = z + self.drop_path(self.gamma1[:, None, None] * self.attention(self.norm1(z)))
        return z + self.drop_path(self.gamma2[:, None, None] * self.feed_forward(self.norm2(z)))  # type: ignore[no-any-return]


class GatedStack(BlockStack):
    """A stack of gated blocks; other arguments and errors as in :class:`BlockStack`.

    Args:
        gate: builds the gate of a block of a given width.
        initial_gate: whether a gate is initialised as its block, or keeps the framework's default weights.
    """

    def __init__(
        self,
        channels: int,
        hid_t: int,
        n_t: int,
        gate: Callable[[int], nn.Module],
        *,
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        initial_gate: Initial = "block",
        channels_last: bool = False,
    ) -> None:
        def block(place: BlockPlace) -> GatedBlock:
            return GatedBlock(
                place.width,
                gate(place.width),
                mlp_ratio=mlp_ratio,
                drop=drop,
                drop_path=place.drop_path,
                initial_gate=initial_gate,
            )

        super().__init__(channels, hid_t, n_t, block, drop_path=drop_path, channels_last=channels_last)


def _init_block(module: nn.Module) -> None:
    scale_convolution(module)
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
