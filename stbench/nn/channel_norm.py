"""Layer normalisation over the channels of each position. Axes: B, C, H, W."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over C of (B, C, H, W); makes no copy if the channels are last in memory."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape, channels last in memory."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
