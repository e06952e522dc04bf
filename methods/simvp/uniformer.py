"""SimVP with UniFormer blocks (Li et al., ICLR 2022): convolution outside, attention inside. Axes: B, C, H', W'."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn.attention import SelfAttention
from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath
from stbench.nn.initial import scale_convolution, shrink_linear
from stbench.nn.mlp import MLP
from stbench.nn.stack import BlockPlace, StackBlock, TokenBlock

from .vit import EPS, HEADS, check_multiple_of_8

LAYER_SCALE = 1e-6


def uniformer_block(place: BlockPlace, *, mlp_ratio: float, drop: float) -> StackBlock:
    """Build an attention block if the block is not the first and keeps its width, else a convolution block."""
    attends = place.index > 0 and place.width == place.width_out
    return (AttentionBlock if attends else ConvolutionBlock)(place, mlp_ratio=mlp_ratio, drop=drop)


def position_conv(channels: int) -> nn.Conv2d:
    """Build the depth-wise 3×3 conv P that both kinds share, z ← z + P(z)."""
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)


class ConvolutionBlock(StackBlock):
    """z ← z + P(z); z ← z + DropPath(C2(D(C1(BN z)))), D depth-wise 5×5; z ← z + DropPath(M(BN z))."""

    def __init__(self, place: BlockPlace, *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        width = place.width
        self.pos_embed = position_conv(width)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 1)
        self.attn = DepthwiseConv(width, 5)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = MLP(width, int(width * mlp_ratio), drop, convolutional=True)
        self.drop_path = DropPath(place.drop_path)
        self.apply(scale_convolution)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = x + self.pos_embed(x)
        x = self.drop_path.add(x, self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return self.drop_path.add(x, self.mlp(self.norm2(x)))


class AttentionBlock(TokenBlock):
    """z ← z + P(z); X ← X + DropPath(γ1 ⊙ A(LN X)); X ← X + DropPath(γ2 ⊙ M(LN X)) on the tokens X of z.

    Raises:
        UserError: the width does not divide into 8 heads.
    """

    def __init__(self, place: BlockPlace, *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        width = place.width
        check_multiple_of_8(width, "attention of 8 heads")
        self.pos_embed = position_conv(width)
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = SelfAttention(width, HEADS, drop=drop)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = MLP(width, int(width * mlp_ratio), drop)
        self.drop_path = DropPath(place.drop_path)
        self.gamma_1 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.gamma_2 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.apply(shrink_linear)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return super().mix(x + self.pos_embed(x))

    def mix_tokens(self, x_BNC: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape."""
        x_BNC = self.drop_path.add(x_BNC, self.attn(self.norm1(x_BNC)), self.gamma_1)
        return self.drop_path.add(x_BNC, self.mlp(self.norm2(x_BNC)), self.gamma_2)
