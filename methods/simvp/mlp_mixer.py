"""SimVP with MLP-Mixer blocks (Tolstikhin et al., NeurIPS 2021): an MLP over the positions. Axes: B, N = H'·W', C."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.drop_path import DropPath
from stbench.nn.gelu import gelu
from stbench.nn.initial import shrink_linear
from stbench.nn.mlp import MLP
from stbench.nn.recompute import recompute
from stbench.nn.stack import BlockPlace, TokenBlock

EPS = 1e-6


class TokenMLP(nn.Module):
    """Linear N→hidden, GELU, Linear hidden→N along the tokens, the same for every channel; dropout as :class:`MLP`."""

    def __init__(self, tokens: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(tokens, hidden)
        self.fc2 = nn.Linear(hidden, tokens)
        self.drop = nn.Dropout(drop)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape. The weights multiply from the left, which avoids a transpose in memory."""
        wide = _along_tokens(self.fc1, x_BNC)
        return self.drop(recompute(self._narrow, wide, draws=self.drop.p > 0))  # type: ignore[no-any-return]

    def _narrow(self, wide: Tensor) -> Tensor:
        return _along_tokens(self.fc2, self.drop(gelu(wide)))


class MixerBlock(TokenBlock):
    """X ← X + DropPath((Mt((LN X)ᵀ))ᵀ); X ← X + DropPath(Mc(LN X)). The weights of Mt fix the frame size.

    Args:
        size: (H', W') of the features.

    Raises:
        UserError: the width is below 2.
    """

    def __init__(self, place: BlockPlace, size: tuple[int, int], *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        width = place.width
        if width < 2:
            raise UserError(f"A block of width {width} leaves no width for its token MLP. Choose hid_t >= 2.")
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.mlp_tokens = TokenMLP(size[0] * size[1], width // 2, drop)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp_channels = MLP(width, int(width * mlp_ratio), drop)
        self.drop_path = DropPath(place.drop_path)
        self.apply(shrink_linear)

    def mix_tokens(self, x_BNC: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape."""
        x_BNC = self.drop_path.add(x_BNC, self.mlp_tokens(self.norm1(x_BNC)))
        return self.drop_path.add(x_BNC, self.mlp_channels(self.norm2(x_BNC)))


def _along_tokens(linear: nn.Linear, x_BNC: Tensor) -> Tensor:
    """Apply a linear map along the tokens: (B, N, C) -> (B, N_out, C)."""
    return torch.matmul(linear.weight, x_BNC) + linear.bias[:, None]
