"""Attention inside (shifted) windows with a learned relative position bias.

Source: Liu et al., "Swin Transformer", ICCV 2021. Axes: B, N = H·W tokens in row order, C; windows of L = w·w tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.attention import attend, split_heads
from stbench.nn.padding import IndivisibleError

BIAS_STD = 0.02
BLOCKED = -100.0
"""Bias between query and key from opposite edges of the grid; public weights were trained with this number."""


def fit_window(size: tuple[int, int], window: int, shift: int, what: str) -> tuple[int, int]:
    """Return window side and shift on a grid; a window of at least the grid's shorter side is that side, unshifted.

    Args:
        size: (H, W) of the token grid.
        window, shift: requested values.
        what: name of the setting, for the error message.

    Raises:
        UserError: the windows do not tile the grid.
    """
    if min(size) <= window:
        window, shift = min(size), 0
    if size[0] % window or size[1] % window:
        raise IndivisibleError(
            f"A grid of {size[0]}×{size[1]} tokens does not divide into windows of {window}×{window}. "
            f"Crop or pad the frames, or change {what}.",
            size,
            window,
        )
    return window, shift


class WindowAttention(nn.Module):
    """Attention of every token over the tokens of its window.

    The grid is rolled by (−shift, −shift) and cut into w×w windows. Each window is mapped to
    softmax(q·kᵀ/√e + bias)·v. The windows are joined and rolled back.

    Args:
        channels: C.
        heads: number of heads.
        size: (H, W) of the token grid; w divides both.
        window: w.
        shift: tokens by which the grid is rolled.
        masked: whether tokens of opposite edges do not attend to each other in windows at the border of a rolled grid.
        head_width: e; by default C // heads.
        drop: rate of the dropout at the end.
    """

    order: Tensor
    inverse: Tensor
    relative: Tensor
    mask: Tensor | None

    def __init__(
        self,
        channels: int,
        heads: int,
        size: tuple[int, int],
        window: int,
        shift: int = 0,
        *,
        masked: bool = False,
        head_width: int | None = None,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        inner = heads * (head_width or channels // heads)
        self.heads, self.length = heads, window * window
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.normal_(self.bias_table, std=BIAS_STD)
        self.qkv = nn.Linear(channels, 3 * inner)
        self.proj = nn.Linear(inner, channels)
        self.drop = nn.Dropout(drop)
        self.in_order = shift == 0 and size[1] == window
        """Whether tokens in row order are already in window order."""
        tokens = torch.arange(size[0] * size[1]).reshape(size).roll((-shift, -shift), (0, 1))
        order = _cut(tokens, window).flatten()  # row-order index of each token, window by window
        derived: dict[str, Tensor | None] = {
            "order": order,
            "inverse": order.argsort(),
            "relative": _relative_positions(window),
        }
        derived["mask"] = _edge_mask(size, window, shift) if masked and shift else None
        for name, tensor in derived.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Map (B, H·W, C) to the same shape."""
        windows = x_BNC if self.in_order else reorder(x_BNC, self.order, self.inverse)
        qkv = self.qkv(windows).reshape(-1, self.length, 3 * self.proj.in_features)
        bias = self.bias_table[self.relative].reshape(self.length, self.length, -1).permute(2, 0, 1)
        attended = attend(qkv, self.heads, bias[None]) if self.mask is None else self._masked(qkv, bias + self.mask)
        out = self.proj(attended).reshape(x_BNC.shape)
        return self.drop(out if self.in_order else reorder(out, self.inverse, self.order))  # type: ignore[no-any-return]

    def _masked(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """Attend with one bias per window (windows, heads, L, L): the windows of a sample are treated as heads."""
        each = (-1, bias.shape[0] * self.heads, *qkv.shape[1:2], self.proj.in_features // self.heads)
        q, k, v = (part.reshape(each) for part in split_heads(qkv, self.heads))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.flatten(0, 1)[None])
        return out.reshape(len(qkv), self.heads, self.length, -1).transpose(1, 2).flatten(2)


class _Reorder(torch.autograd.Function):
    """A permutation of tokens. Its gradient is an index by the inverse; torch's own indexing would scatter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return _Reorder.apply(gradients[0], inverse, order), None, None


def reorder(x_BNC: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Permute tokens: token i of the result is token ``order[i]``. Tracing and compiling see a plain index."""
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[attr-defined, no-untyped-call]
        return x_BNC.index_select(1, order)
    return _Reorder.apply(x_BNC, order, inverse)  # type: ignore[no-any-return]


def _cut(grid_HW: Tensor, window: int) -> Tensor:
    """Cut (H, W) into (windows, L), with windows and their tokens in row order."""
    rows, columns = (length // window for length in grid_HW.shape)
    return grid_HW.reshape(rows, window, columns, window).transpose(1, 2).reshape(-1, window * window)


def _relative_positions(window: int) -> Tensor:
    """Return the row of the bias table for every pair of query and key in a window, (L·L,)."""
    row, column = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    down, right = (axis.flatten()[:, None] - axis.flatten()[None, :] + window - 1 for axis in (row, column))
    return (down * (2 * window - 1) + right).flatten()


def _edge_mask(size: tuple[int, int], window: int, shift: int) -> Tensor:
    """Return 0, or :data:`BLOCKED` where query and key come from opposite edges, (windows, 1, L, L)."""

    def bands(length: int) -> Tensor:
        place = torch.arange(length)
        return (place >= length - window).long() + (place >= length - shift).long()

    region = _cut(3 * bands(size[0])[:, None] + bands(size[1])[None, :], window)
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, BLOCKED)[:, None]
