"""SimVP with ConvNeXt blocks (Liu et al., CVPR 2022). Axes: B, C, H', W'."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn.channel_norm import ChannelNorm
from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath
from stbench.nn.initial import scale_convolution
from stbench.nn.mlp import MLP
from stbench.nn.stack import BlockPlace, StackBlock

EPS = 1e-6
LAYER_SCALE = 1e-6


class ConvNeXtBlock(StackBlock):
    """z ← z + DropPath(γ ⊙ M(LN(D z))), D depth-wise 7×7, M a convolutional MLP without dropout."""

    def __init__(self, place: BlockPlace, *, mlp_ratio: float) -> None:
        super().__init__()
        width = place.width
        self.conv_dw = DepthwiseConv(width, 7)
        self.norm = ChannelNorm(width, eps=EPS)
        self.mlp = MLP(width, int(width * mlp_ratio), convolutional=True)
        self.drop_path = DropPath(place.drop_path)
        self.gamma = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.apply(scale_convolution)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.drop_path.add(x, self.mlp(self.norm(self.conv_dw(x))), self.gamma[:, None, None])
