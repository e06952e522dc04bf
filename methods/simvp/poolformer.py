"""SimVP with PoolFormer blocks (Yu et al., CVPR 2022): average pooling over positions. Axes: B, C, H', W'."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.drop_path import DropPath
from stbench.nn.initial import shrink_convolution
from stbench.nn.mlp import MLP
from stbench.nn.stack import BlockPlace, StackBlock

LAYER_SCALE = 1e-5


class PoolFormerBlock(StackBlock):
    """z ← z + DropPath(γ1 ⊙ (avg3(u) − u)), u = GN(z); z ← z + DropPath(γ2 ⊙ M(GN z)).

    avg3: mean over the 3×3 neighbours inside the frame. GN: GroupNorm with one group.
    """

    def __init__(self, place: BlockPlace, *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        width = place.width
        self.norm1 = nn.GroupNorm(1, width)
        self.norm2 = nn.GroupNorm(1, width)
        self.mlp = MLP(width, int(width * mlp_ratio), drop, convolutional=True)
        self.drop_path = DropPath(place.drop_path)
        self.gamma1 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.gamma2 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.apply(shrink_convolution)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        u = self.norm1(x)
        pooled = F.avg_pool2d(u, 3, stride=1, padding=1, count_include_pad=False)
        x = self.drop_path.add(x, pooled - u, self.gamma1[:, None, None])
        return self.drop_path.add(x, self.mlp(self.norm2(x)), self.gamma2[:, None, None])
