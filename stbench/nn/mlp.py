"""The two-layer perceptron of transformer and convolutional blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.recompute import recompute


class MLP(nn.Module):
    """Map C→hidden, GELU (the exact one), map hidden→C; dropout after the GELU and at the end.

    Args:
        channels: C.
        hidden: width between the maps.
        drop: rate of both dropouts.
        convolutional: whether the maps are 1×1 convolutions of (B, C, H, W) instead of linear maps of (…, C).
    """

    def __init__(self, channels: int, hidden: int, drop: float = 0.0, *, convolutional: bool = False) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1) if convolutional else nn.Linear(channels, hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1) if convolutional else nn.Linear(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.drop(recompute(self._narrow, self.fc1(x), draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _narrow(self, wide: Tensor) -> Tensor:
        """What follows the wide map, of which training keeps ``wide`` alone."""
        return self.fc2(self.drop(F.gelu(wide)))  # type: ignore[no-any-return]
