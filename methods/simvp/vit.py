"""SimVP with ViT blocks (Dosovitskiy et al., ICLR 2021): attention over all positions. Axes: B, N = H'·W', C."""

from __future__ import annotations

from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.attention import SelfAttention
from stbench.nn.drop_path import DropPath
from stbench.nn.initial import shrink_linear
from stbench.nn.mlp import MLP
from stbench.nn.stack import BlockPlace, TokenBlock

HEADS = 8
EPS = 1e-5


class TransformerBlock(TokenBlock):
    """X ← X + DropPath(A(LN X)); X ← X + DropPath(M(LN X)) with any attention A and an MLP M."""

    def __init__(self, place: BlockPlace, attention: nn.Module, *, mlp_ratio: float, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(place.width, eps=EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(place.width, eps=EPS)
        self.mlp = MLP(place.width, int(place.width * mlp_ratio), drop)
        self.drop_path = DropPath(place.drop_path)
        self.apply(shrink_linear)

    def mix_tokens(self, x_BNC: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape."""
        x_BNC = self.drop_path.add(x_BNC, self.attn(self.norm1(x_BNC)))
        return self.drop_path.add(x_BNC, self.mlp(self.norm2(x_BNC)))


class ViTBlock(TransformerBlock):
    """Attention over all positions, without a position encoding.

    Raises:
        UserError: the width does not divide into 8 heads.
    """

    def __init__(self, place: BlockPlace, *, mlp_ratio: float, drop: float) -> None:
        check_multiple_of_8(place.width, "attention of 8 heads")
        super().__init__(place, SelfAttention(place.width, HEADS, drop=drop), mlp_ratio=mlp_ratio, drop=drop)


def check_multiple_of_8(width: int, what: str) -> None:
    """Raise :class:`UserError` unless 8 divides the width."""
    if width % 8:
        raise UserError(
            f"A block of width {width} does not divide by 8, which its {what} needs. "
            "Choose hid_t and t_in·hid_s as multiples of 8."
        )
