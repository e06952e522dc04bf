"""SimVP with VAN blocks (Guo et al., "Visual Attention Network", 2022): gSTA's block with a different gate."""

from __future__ import annotations

from torch import Tensor

from stbench.nn.gated_stack import DecomposedConv


class LargeKernelAttention(DecomposedConv):
    """G(v) = v ⊙ the 21×21 decomposed conv of v: TAU's statical attention alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x * super().forward(x)
