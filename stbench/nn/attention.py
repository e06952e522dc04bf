"""Multi-head self-attention through torch's fused kernel (Vaswani et al., NeurIPS 2017). Axes: N, L tokens, C."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def split_heads(qkv_NLX: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split (N, L, 3·heads·e), ordered by q|k|v, head, channel, into q, k and v, each (N, heads, L, e)."""
    q, k, v = qkv_NLX.reshape(*qkv_NLX.shape[:-1], 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def attend(qkv_NLX: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Return softmax(q·kᵀ/√e + bias)·v of every head, with the heads concatenated.

    Args:
        qkv_NLX: (N, L, 3·heads·e), as :func:`split_heads` reads it.
        heads: number of heads.
        bias: added before the softmax, broadcastable to (N, heads, L, L).

    Returns:
        (N, L, heads·e).
    """
    out = F.scaled_dot_product_attention(*split_heads(qkv_NLX, heads), attn_mask=bias)
    return out.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Linear C→3·heads·e, attention over all L tokens, then Linear heads·e→C and dropout.

    Args:
        channels: C.
        heads: number of heads.
        head_width: e; by default C // heads.
        qkv_bias: whether the first map has a bias.
        project: whether the last map and its dropout follow; without them heads·e must be C.
        drop: rate of the dropout at the end.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        head_width: int | None = None,
        qkv_bias: bool = True,
        project: bool = True,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        inner = heads * (head_width or channels // heads)
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * inner, bias=qkv_bias)
        self.proj = nn.Linear(inner, channels) if project else nn.Identity()
        self.drop = nn.Dropout(drop if project else 0.0)

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Map (N, L, C) to the same shape."""
        return self.drop(self.proj(attend(self.qkv(x_NLC), self.heads)))  # type: ignore[no-any-return]
