"""Two-layer perceptron of transformer and convolutional blocks."""

from __future__ import annotations

from torch import Tensor, nn

from stbench.nn.gelu import gelu
from stbench.nn.recompute import recompute


class MLP(nn.Module):
    """Linear map C→hidden, exact GELU, linear map hidden→C; dropout after the GELU and at the end.

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
        """Apply the perceptron; same shape. With dropout, drawing again would take longer than recomputing saves."""
        wide = self.fc1(x)
        return self.drop(self._narrow(wide) if self.drop.p > 0 else recompute(self._narrow, wide))  # type: ignore[no-any-return]

    def _narrow(self, wide: Tensor) -> Tensor:
        """Apply what follows the wide map; without dropout, the backward pass stores ``wide`` and calls this again."""
        return self.fc2(self.drop(gelu(wide)))  # type: ignore[no-any-return]
