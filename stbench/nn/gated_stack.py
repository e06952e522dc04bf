"""The temporal module of TAU and SimVP-gSTA: a stack of gated convolutional blocks over channel-stacked frames.

Sources: Tan et al., "Temporal Attention Unit", CVPR 2023; Tan et al., "SimVP: Towards Simple yet Powerful
Spatiotemporal Predictive Learning", 2022. Axes: B, C = T_in·hid_S features of all past frames, H', W'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.recompute import recompute

LAYER_SCALE = 1e-2
FIRST_DROP_PATH = 1e-2


class DropPath(nn.Module):
    """Stochastic depth: drops the whole branch per sample, survivors are divided by 1 − rate (Huang et al., 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Same shape; the identity in eval mode or at rate 0."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) < keep
        return x * (mask.to(x.dtype) / keep)


class DecomposedConv(nn.Module):
    """A 21×21 depth-wise receptive field: 5×5 depth-wise → 7×7 depth-wise with dilation 3 → 1×1 to ``c_out``."""

    def __init__(self, channels: int, c_out: int) -> None:
        super().__init__()
        self.local = DepthwiseConv(channels, 5)
        self.dilated = DepthwiseConv(channels, 7, dilation=3)
        self.mix = nn.Conv2d(channels, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H, W)."""
        return self.mix(self.dilated(self.local(x)))  # type: ignore[no-any-return]


class GatedAttention(nn.Module):
    """A(u) = u + P2(gate(GELU(P1 u))) with 1×1 convs P1, P2."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.act = nn.GELU()
        self.gate = gate
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """(B, C, H, W), same shape."""
        return u + recompute(self._gated, self.proj_1(u))

    def _gated(self, v: Tensor) -> Tensor:
        """The depth-wise convs and what is elementwise, of which training keeps ``v`` alone."""
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
        self.act = nn.GELU()
        self.shrink = nn.Conv2d(hidden, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), same shape."""
        return self.drop(recompute(self._shrunk, self.expand(x), draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _shrunk(self, wide: Tensor) -> Tensor:
        """What follows the wide conv, of which training keeps ``wide`` alone."""
        return self.shrink(self.drop(self.act(self.depthwise(wide))))  # type: ignore[no-any-return]


class GatedBlock(nn.Module):
    """z ← z + DropPath(γ1 ⊙ A(BN(z))); z ← z + DropPath(γ2 ⊙ M(BN(z))); then a 1×1 conv when the width changes."""

    def __init__(
        self, c_in: int, c_out: int, gate: nn.Module, *, mlp_ratio: float, drop: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(c_in)
        self.attention = GatedAttention(c_in, gate)
        self.norm2 = nn.BatchNorm2d(c_in)
        self.feed_forward = ConvFeedForward(c_in, mlp_ratio, drop)
        self.drop_path = DropPath(drop_path)
        self.gamma1 = nn.Parameter(torch.full((c_in,), LAYER_SCALE))
        self.gamma2 = nn.Parameter(torch.full((c_in,), LAYER_SCALE))
        self.apply(_init_block)
        self.reduction = nn.Conv2d(c_in, c_out, 1) if c_out != c_in else nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        z = z + self.drop_path(self.gamma1[:, None, None] * self.attention(self.norm1(z)))
        z = z + self.drop_path(self.gamma2[:, None, None] * self.feed_forward(self.norm2(z)))
        return self.reduction(z)  # type: ignore[no-any-return]


class GatedStack(nn.Module):
    """``n_t`` blocks of widths channels → hid_t → … → hid_t → channels.

    Args:
        channels: T_in·hid_S.
        gate: makes the gate of a block of the given width.

    Raises:
        UserError: ``n_t`` is below 2.
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
    ) -> None:
        super().__init__()
        if n_t < 2:
            raise UserError(f"n_t = {n_t}: the temporal module needs at least 2 blocks (in and out). Use n_t >= 2.")
        widths = [channels] + [hid_t] * (n_t - 1) + [channels]
        rates = torch.linspace(FIRST_DROP_PATH, drop_path, n_t, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            GatedBlock(c_in, c_out, gate(c_in), mlp_ratio=mlp_ratio, drop=drop, drop_path=rate)
            for c_in, c_out, rate in zip(widths[:-1], widths[1:], rates, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H', W'), same shape."""
        for block in self.blocks:
            x = block(x)
        return x


def _init_block(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
        nn.init.zeros_(cast("Tensor", module.bias))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
