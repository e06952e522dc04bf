"""SimVP with HorNet blocks (Rao et al., NeurIPS 2022): recursive gated convolution of order 4. Axes: B, C, H', W'."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn.channel_norm import ChannelNorm
from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath
from stbench.nn.initial import scale_convolution, shrink_linear
from stbench.nn.mlp import MLP
from stbench.nn.stack import BlockPlace, StackBlock

from .vit import check_multiple_of_8

EPS = 1e-6
LAYER_SCALE = 1e-6
ORDER = 4
NORM_COST = 5
"""Multiply-adds per element of a norm in published counts."""


class RecursiveGate(nn.Module):
    """Order-4 gated convolution: p ← W_k(p) ⊙ b_k for widths d/8, d/4, d/2, d, with b a depth-wise 7×7 of the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widths = [channels >> step for step in reversed(range(ORDER))]
        self.proj_in = nn.Conv2d(channels, 2 * channels, 1)
        self.dwconv = DepthwiseConv(sum(self.widths), 7)
        self.pws = nn.ModuleList(
            nn.Conv2d(narrow, wide, 1) for narrow, wide in zip(self.widths, self.widths[1:], strict=False)
        )
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        p, rest = self.proj_in(x).split([self.widths[0], sum(self.widths)], dim=1)
        first, *gates = self.dwconv(rest).split(self.widths, dim=1)
        p = p * first
        for widen, gate in zip(self.pws, gates, strict=True):
            p = widen(p) * gate
        return self.proj_out(p)  # type: ignore[no-any-return]


class HorNetBlock(StackBlock):
    """z ← z + DropPath(γ1 ⊙ G(LN z)); z ← z + DropPath(γ2 ⊙ M(LN z)) with a linear MLP M without dropout.

    Raises:
        UserError: the width does not divide by 8.
    """

    def __init__(self, place: BlockPlace, *, mlp_ratio: float) -> None:
        super().__init__()
        width = place.width
        check_multiple_of_8(width, "recursive gate of order 4")
        self.norm1 = ChannelNorm(width, eps=EPS)
        self.gnconv = RecursiveGate(width)
        self.norm2 = ChannelNorm(width, eps=EPS)
        self.pointwise = MLP(width, int(width * mlp_ratio))
        self.drop_path = DropPath(place.drop_path)
        self.scale1 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.scale2 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.apply(scale_convolution)
        self.apply(shrink_linear)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = self.drop_path.add(x, self.gnconv(self.norm1(x)), self.scale1[:, None, None])
        branch = self.pointwise(self.norm2(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.drop_path.add(x, branch, self.scale2[:, None, None])

    def idle_macs(self, height: int, width: int) -> int:
        """Subtract the first norm: counters miss it in the public code, which spells it out."""
        return -NORM_COST * self.norm1.normalized_shape[0] * height * width
