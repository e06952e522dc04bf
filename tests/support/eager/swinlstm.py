"""SwinLSTM-B and -D. Axes: B, C, H, W; tokens (B, N, C) of a grid, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import RolledOut, dropped
from .tokens import Mlp, WindowAttention, attend_in_windows

PATCH = 2
Size = tuple[int, int]


def shift_mask(size: Size, window: int, shift: int) -> Tensor:
    """(windows, N, N): -100 between tokens that the roll brings together from opposite borders."""
    region = torch.zeros(size)
    bands = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(bands):
        for j, columns in enumerate(bands):
            region[rows, columns] = 3 * i + j
    cut = region.view(size[0] // window, window, size[1] // window, window)
    cut = cut.permute(0, 2, 1, 3).reshape(-1, window * window)
    return -100.0 * (cut[:, :, None] != cut[:, None, :])


class STB(nn.Module):
    """A Swin block; an even one joins a second input to its own."""

    def __init__(self, index: int, dim: int, heads: int, size: Size, window: int, ratio: float, rate: float) -> None:
        super().__init__()
        self.size = size
        self.rate = rate
        self.window = min(window, *size)
        self.shift = window // 2 if index % 2 and min(size) > window else 0
        mask = shift_mask(size, self.window, self.shift) if self.shift else None
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, self.window, mask)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * ratio))
        if index % 2 == 0:
            self.red = nn.Linear(2 * dim, dim)

    def forward(self, a: Tensor, b: Tensor | None) -> Tensor:
        z = self.norm1(a)
        if b is not None:
            z = self.red(torch.cat([z, self.norm1(b)], dim=-1))
        z = z.view(len(z), *self.size, -1)
        z = attend_in_windows(z, self.attn, self.window, self.shift).view(a.shape)
        a = a + dropped(z, self.rate, self.training)
        return a + dropped(self.mlp(self.norm2(a)), self.rate, self.training)


class Cell(nn.Module):
    def __init__(self, dim: int, heads: int, size: Size, window: int, ratio: float, rates: Sequence[float]) -> None:
        super().__init__()
        self.dim = dim
        self.tokens = size[0] * size[1]
        self.STBs = nn.ModuleList(STB(j, dim, heads, size, window, ratio, rate) for j, rate in enumerate(rates))

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = state
        o = x
        for j, block in enumerate(self.STBs):
            o = block(o, None if j % 2 else (x if j else h))
        gate = torch.sigmoid(o)
        c = gate * (c + torch.tanh(o))
        h = gate * torch.tanh(c)
        return h, (h, c)


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, PATCH, PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, frame: Tensor) -> Tensor:
        return self.norm(self.proj(frame).flatten(2).transpose(1, 2))


class Merge(nn.Module):
    """2x2 tokens to one of twice the width."""

    def __init__(self, dim: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        grid = x.view(len(x), *self.size, -1)
        corners = [grid[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1).flatten(1, 2)))


class Expand(nn.Module):
    """One token to 2x2 of half the width."""

    def __init__(self, dim: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.expand = nn.Linear(dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(dim // 2)

    def forward(self, x: Tensor) -> Tensor:
        (height, width), half = self.size, x.shape[-1] // 2
        grid = self.expand(x).view(len(x), height, width, 2, 2, half)
        return self.norm(grid.permute(0, 1, 3, 2, 4, 5).reshape(len(x), -1, half))


class Head(nn.Module):
    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.Conv = nn.ConvTranspose2d(dim, channels, 3, 2, 1, output_padding=1)


def parts(**modules: nn.Module) -> nn.Module:
    whole = nn.Module()
    for name, module in modules.items():
        whole.add_module(name, module)
    return whole


class SwinLSTM(RolledOut):
    """One cell between patch embedding and head (B), or cells on the way down a pyramid and up again (D)."""

    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        size: Size,
        model: str,
        embed_dim: int,
        window: int,
        mlp_ratio: float,
        depth: int,
        num_heads: Sequence[int],
        depths_downsample: Sequence[int],
        depths_upsample: Sequence[int],
        drop_path: float = 0.0,
        output_activation: str = "sigmoid",
    ) -> None:
        super().__init__(t_in, t_out)
        self.grid = (size[0] // PATCH, size[1] // PATCH)
        self.sigmoid = output_activation == "sigmoid"
        self.levels = len(num_heads) if model == "d" else 0
        if model == "b":
            cell = Cell(embed_dim, num_heads[0], self.grid, window, mlp_ratio, [drop_path] * depth)
            self.ST = parts(
                patch_embed=PatchEmbed(channels, embed_dim), layer=cell, patch_inflated=Head(embed_dim, channels)
            )
            return
        rates = torch.linspace(0, drop_path, sum(depths_downsample)).tolist()
        back = rates[::-1]
        down, merges, up, expands = [], [], [], []
        for level, heads in enumerate(num_heads):
            grid, dim, count = self.at(level), embed_dim << level, depths_downsample[level]
            down.append(Cell(dim, heads, grid, window, mlp_ratio, rates[:count]))
            merges.append(Merge(dim, grid))
            rates = rates[count:]
        for level in range(self.levels, 0, -1):
            grid, dim, count = self.at(level), embed_dim << level, depths_upsample[level - 1]
            up.append(Cell(dim, num_heads[level - 1], grid, window, mlp_ratio, back[:count]))
            expands.append(Expand(dim, grid))
            back = back[count:]
        self.Downsample = parts(
            patch_embed=PatchEmbed(channels, embed_dim), layers=nn.ModuleList(down), downsample=nn.ModuleList(merges)
        )
        self.Upsample = parts(
            layers=nn.ModuleList(up), upsample=nn.ModuleList(expands), Unembed=Head(embed_dim, channels)
        )

    def at(self, level: int) -> Size:
        return self.grid[0] >> level, self.grid[1] >> level

    @property
    def cells(self) -> list[Cell]:
        return [*self.Downsample.layers, *self.Upsample.layers] if self.levels else [self.ST.layer]

    def start(self, clip: Tensor) -> Any:
        return [(clip.new_zeros(len(clip), cell.tokens, cell.dim),) * 2 for cell in self.cells]

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        new = []
        if not self.levels:
            x, layer = self.ST.layer(self.ST.patch_embed(frame), state[0])
            head, new = self.ST.patch_inflated, [layer]
        else:
            x, head = self.Downsample.patch_embed(frame), self.Upsample.Unembed
            changes = [*self.Downsample.downsample, *self.Upsample.upsample]
            for cell, change, old in zip(self.cells, changes, state, strict=True):
                x, layer = cell(x, old)
                new.append(layer)
                x = change(x)
        out = head.Conv(x.transpose(1, 2).reshape(len(x), -1, *self.grid))
        return (torch.sigmoid(out) if self.sigmoid else out), new
