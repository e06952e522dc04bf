"""SimVP with MogaNet blocks (Li et al., ICLR 2024): multi-order gated aggregation. Axes: B, C, H', W'."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath
from stbench.nn.gelu import gelu
from stbench.nn.initial import scale_convolution
from stbench.nn.recompute import recompute
from stbench.nn.stack import BlockPlace, StackBlock

from .vit import check_multiple_of_8

LAYER_SCALE = 1e-5


def scale_parameter(channels: int) -> nn.Parameter:
    """Return a per-channel factor initialised to 1e-5, (1, C, 1, 1)."""
    return nn.Parameter(torch.full((1, channels, 1, 1), LAYER_SCALE))


class MultiOrderConv(nn.Module):
    """V: depth-wise 5×5 on all channels, then 5×5 dilated by 2 on 3/8 of them and 7×7 dilated by 3 on half; 1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widths = [channels // 8, 3 * channels // 8, channels // 2]
        self.DW_conv0 = DepthwiseConv(channels, 5)
        self.DW_conv1 = DepthwiseConv(self.widths[1], 5, dilation=2)
        self.DW_conv2 = DepthwiseConv(self.widths[2], 7, dilation=3)
        self.PW_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        low, middle, high = self.DW_conv0(x).split(self.widths, dim=1)
        return self.PW_conv(torch.cat([low, self.DW_conv1(middle), self.DW_conv2(high)], dim=1))  # type: ignore[no-any-return]


class GatedAggregation(nn.Module):
    """A(u) = u + C_o(SiLU(C_g v) ⊙ SiLU(V v)) with v = SiLU(C_p u + σ_A ⊙ (C_p u − its spatial mean))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.sigma = scale_parameter(channels)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.value = MultiOrderConv(channels)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        v = recompute(self._decomposed, self.proj_1(u), self.sigma)
        return u + recompute(self._gated, self.gate(v), self.value(v))

    def _decomposed(self, v: Tensor, sigma: Tensor) -> Tensor:
        return F.silu(torch.addcmul(v, sigma, v - F.adaptive_avg_pool2d(v, 1)))

    def _gated(self, g: Tensor, h: Tensor) -> Tensor:
        return self.proj_2(F.silu(g) * F.silu(h))  # type: ignore[no-any-return]


class ChannelAggregation(nn.Module):
    """M(u) = C_2(y + σ_M ⊙ (y − GELU(C_d y))), y = GELU(depth-wise 3×3 of C_1 u); C_d has one output channel."""

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.decompose = nn.Conv2d(hidden, 1, 1)
        self.sigma = scale_parameter(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, u: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; dropout after the first GELU and at the end."""
        return self.drop(recompute(self._narrow, self.fc1(u), draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _narrow(self, wide: Tensor) -> Tensor:
        """Apply what follows the wide conv; recomputed in the backward pass, which stores only ``wide``."""
        y = self.drop(gelu(self.dwconv(wide)))
        return self.fc2(torch.addcmul(y, self.sigma, y - gelu(self.decompose(y))))  # type: ignore[no-any-return]


class MogaBlock(StackBlock):
    """z ← z + DropPath(γ1 ⊙ A(BN z)); z ← z + DropPath(γ2 ⊙ M(BN z)).

    Raises:
        UserError: the width does not divide by 8.
    """

    def __init__(self, place: BlockPlace, *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        width = place.width
        check_multiple_of_8(width, "split of orders")
        self.norm1 = nn.BatchNorm2d(width)
        self.attn = GatedAggregation(width)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = ChannelAggregation(width, int(width * mlp_ratio), drop)
        self.drop_path = DropPath(place.drop_path)
        self.gamma1 = scale_parameter(width)
        self.gamma2 = scale_parameter(width)
        self.apply(scale_convolution)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = self.drop_path.add(x, self.attn(self.norm1(x)), self.gamma1)
        return self.drop_path.add(x, self.mlp(self.norm2(x)), self.gamma2)
