"""The two-layer perceptron of transformer blocks. Axes: any leading ones, then C."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.recompute import recompute


class MLP(nn.Module):
    """Linear C→hidden, GELU (the exact one), Linear hidden→C; dropout after the GELU and at the end."""

    def __init__(self, channels: int, hidden: int, drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C), same shape."""
        return self.drop(recompute(self._narrow, self.fc1(x), draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _narrow(self, wide: Tensor) -> Tensor:
        """What follows the wide map, of which training keeps ``wide`` alone."""
        return self.fc2(self.drop(F.gelu(wide)))  # type: ignore[no-any-return]
