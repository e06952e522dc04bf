"""SwinLSTM's recurrent cell. Axes: B, N tokens of a grid in row order, D channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.errors import UserError
from stbench.nn.drop_path import DropPath
from stbench.nn.mlp import MLP
from stbench.nn.recompute import recompute
from stbench.nn.window import WindowAttention, fit_window

State = tuple[Tensor, Tensor]
"""Hidden state h and cell state c, each (B, N, D)."""


@dataclass(frozen=True)
class BlockSizes:
    """Sizes shared by the blocks of a cell: grid (rows, columns), width D, heads, window side, MLP ratio, dropout."""

    grid: tuple[int, int]
    width: int
    heads: int
    window: int
    mlp_ratio: float
    drop: float


class SwinBlock(nn.Module):
    """y = a + DropPath(WindowAttention(z)); y ← y + DropPath(MLP(LN y)), where z is LN(a), or R[LN(a), LN(b)].

    Args:
        reads_two: whether there is an input b.
        shifted: whether the windows are shifted by half their side.

    Raises:
        UserError: the heads do not divide the width, or the windows do not tile the grid.
    """

    def __init__(self, sizes: BlockSizes, *, reads_two: bool, shifted: bool, drop_path: float) -> None:
        super().__init__()
        width = sizes.width
        if width % sizes.heads:
            raise UserError(f"{sizes.heads} heads do not divide the width {width}. Change num_heads or embed_dim.")
        window, shift = fit_window(sizes.grid, sizes.window, sizes.window // 2 if shifted else 0, "window")
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, sizes.heads, sizes.grid, window, shift, masked=True, drop=sizes.drop)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, int(width * sizes.mlp_ratio), sizes.drop)
        self.drop_path = DropPath(drop_path)
        self.red = nn.Linear(2 * width, width) if reads_two else None

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """Map one or two inputs (B, N, D) to (B, N, D)."""
        z = self.norm1(a)
        if self.red is not None and b is not None:
            of_a, of_b = self.red.weight.chunk(2, dim=1)
            z = F.linear(z, of_a, self.red.bias) + F.linear(self.norm1(b), of_b)
        y = self.drop_path.add(a, self.attn(z))
        return self.drop_path.add(y, self.mlp(self.norm2(y)))


class SwinLSTMCell(nn.Module):
    """Blocks in sequence, then a single gate: F = σ(o), c ← F⊙(c + tanh o), h ← F⊙tanh c.

    Block 0 reads the input and h; blocks of odd index read the previous block, the others also the input.

    Args:
        drop_paths: rate of stochastic depth of each block.
    """

    def __init__(self, sizes: BlockSizes, drop_paths: Sequence[float]) -> None:
        super().__init__()
        self.tokens, self.width = sizes.grid[0] * sizes.grid[1], sizes.width
        self.blocks = nn.ModuleList(
            SwinBlock(sizes, reads_two=index % 2 == 0, shifted=index % 2 == 1, drop_path=rate)
            for index, rate in enumerate(drop_paths)
        )

    def initial_state(self, frame: Tensor) -> State:
        """Return zeros for the batch size, device and dtype of ``frame``."""
        shape = (frame.shape[0], self.tokens, self.width)
        return frame.new_zeros(shape), frame.new_zeros(shape)

    def forward(self, x: Tensor, state: State) -> State:
        """Map input (B, N, D) and state (h, c) to the new (h, c)."""
        h, c = state
        out = self.blocks[0](x, h)
        for index, block in enumerate(self.blocks[1:], start=1):
            out = block(out, None if index % 2 else x)
        return recompute(_gated, out, c)


def _gated(out: Tensor, c: Tensor) -> State:
    gate = torch.sigmoid(out)
    c = gate * (c + torch.tanh(out))
    return gate * torch.tanh(c), c
