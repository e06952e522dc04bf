"""SwinLSTM's two models: one cell, or a cell per level of a U. Axes: B, C, H, W; tokens B, N, D."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from stbench.nn import check_divisible

from .cell import BlockSizes, State, SwinLSTMCell
from .config import SwinLSTMConfig

Grid = tuple[int, int]
PATCH = 2
"""Fixed, because the head doubles the grid."""


class TokenEmbedding(nn.Module):
    """p×p conv of stride p, tokens row by row, LayerNorm."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, frame: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, H/p·W/p, D)."""
        return self.norm(self.proj(frame).permute(0, 2, 3, 1).flatten(1, 2))  # type: ignore[no-any-return]


class PatchMerging(nn.Module):
    """Merge 2×2 tokens into one of twice the width: concatenation, LayerNorm, linear map without bias."""

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, D) to (B, N/4, 2D); the four tokens are concatenated in the order (0,0), (1,0), (0,1), (1,1)."""
        rows, columns = self.grid
        blocks = x.reshape(len(x), rows // 2, 2, columns // 2, 2, -1).permute(0, 1, 3, 4, 2, 5)
        return self.reduction(self.norm(blocks.flatten(3).flatten(1, 2)))  # type: ignore[no-any-return]


class PatchExpanding(nn.Module):
    """Expand a token to 2×2 of half the width: linear map without bias to (row, column, channel), LayerNorm."""

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.grid = grid
        self.expand = nn.Linear(width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, D) to (B, 4N, D/2)."""
        blocks = self.expand(x).reshape(len(x), *self.grid, 2, 2, -1)
        return self.norm(blocks.transpose(2, 3).flatten(1, 4))  # type: ignore[no-any-return]


class BaseNet(nn.Module):
    """SwinLSTM-B: one cell."""

    def __init__(self, channels: int, grid: Grid, config: SwinLSTMConfig, patch: int) -> None:
        super().__init__()
        width = config.embed_dim
        self.embed = TokenEmbedding(channels, width, patch)
        self.cell = SwinLSTMCell(_sizes(config, grid, width, config.num_heads[0]), [config.drop_path] * config.depth)

    def cells(self) -> list[SwinLSTMCell]:
        """All cells, in the order of their states."""
        return [self.cell]

    def forward(self, tokens: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Tokens (B, N, D) and a state per cell -> tokens of the same shape, new states."""
        state = self.cell(tokens, states[0])
        return state[0], [state]


class DeepNet(nn.Module):
    """SwinLSTM-D: cells with patch merging on the way down and patch expanding on the way up, without skips.

    The rate of stochastic depth rises from 0 to ``drop_path`` on the way down and falls back to 0 on the way up.

    Raises:
        UserError: the grid does not halve once per level.
    """

    def __init__(self, channels: int, grid: Grid, config: SwinLSTMConfig, patch: int) -> None:
        super().__init__()
        width, levels = config.embed_dim, len(config.num_heads)
        check_divisible(patch * grid[0], patch * grid[1], patch << levels, "depths_downsample")
        self.embed = TokenEmbedding(channels, width, patch)
        wide = [((grid[0] >> level, grid[1] >> level), width << level) for level in range(levels + 1)]
        down = [_sizes(config, *wide[level], config.num_heads[level]) for level in range(levels)]
        up = [_sizes(config, *wide[level], config.num_heads[level - 1]) for level in range(levels, 0, -1)]
        rising = _ramp(config.drop_path, config.depths_downsample)
        falling = _ramp(config.drop_path, config.depths_upsample[::-1], falling=True)
        self.down = nn.ModuleList(SwinLSTMCell(size, rates) for size, rates in zip(down, rising, strict=True))
        self.merge = nn.ModuleList(PatchMerging(size.grid, size.width) for size in down)
        self.up = nn.ModuleList(SwinLSTMCell(size, rates) for size, rates in zip(up, falling, strict=True))
        self.expand = nn.ModuleList(PatchExpanding(size.grid, size.width) for size in up)

    def cells(self) -> list[SwinLSTMCell]:
        """All cells, in the order of their states."""
        return [*self.down, *self.up]

    def forward(self, tokens: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Tokens (B, N, D) and a state per cell -> tokens of the same shape, new states."""
        new: list[State] = []
        for cell, resize, state in zip(self.cells(), [*self.merge, *self.expand], states, strict=True):
            new.append(cell(tokens, state))
            tokens = resize(new[-1][0])
        return tokens, new


def _sizes(config: SwinLSTMConfig, grid: Grid, width: int, heads: int) -> BlockSizes:
    return BlockSizes(grid, width, heads, config.window, config.mlp_ratio, config.drop)


def _ramp(rate: float, depths: tuple[int, ...], *, falling: bool = False) -> Iterator[list[float]]:
    """Return the rates of each cell's blocks, rising linearly from 0 to ``rate`` over all blocks, or falling."""
    rates = torch.linspace(0, rate, sum(depths), device="cpu").tolist()
    rates = rates[::-1] if falling else rates
    for depth in depths:
        yield rates[:depth]
        rates = rates[depth:]
