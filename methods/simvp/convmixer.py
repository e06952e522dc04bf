"""SimVP with ConvMixer blocks (Trockman & Kolter, TMLR 2023). Axes: B, C, H', W'."""

from __future__ import annotations

from torch import Tensor, nn

from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.gelu import gelu
from stbench.nn.initial import scale_convolution
from stbench.nn.stack import BlockPlace, StackBlock


class ConvMixerBlock(StackBlock):
    """z ← z + BN(GELU(D z)), D depth-wise 11×11; z ← BN(GELU(C z)), C 1×1. No stochastic depth, no MLP."""

    def __init__(self, place: BlockPlace) -> None:
        super().__init__()
        self.conv_dw = DepthwiseConv(place.width, 11)
        self.norm_1 = nn.BatchNorm2d(place.width)
        self.conv_pw = nn.Conv2d(place.width, place.width, 1)
        self.norm_2 = nn.BatchNorm2d(place.width)
        self.apply(scale_convolution)

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = x + self.norm_1(gelu(self.conv_dw(x)))
        return self.norm_2(gelu(self.conv_pw(x)))  # type: ignore[no-any-return]

    def idle_macs(self, height: int, width: int) -> int:
        """Subtract the depth-wise conv: counters miss it in the public code because of its named padding."""
        return -self.conv_dw.weight.numel() * height * width
