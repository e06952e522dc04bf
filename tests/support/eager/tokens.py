"""Attention written out and MLPs, over tokens (B, N, C); windows of a grid (B, H, W, C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    """softmax(q k^T / sqrt(e)) v of every head, by matrix products."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = dim // heads
        self.qkv = nn.Linear(dim, 3 * heads * self.width)
        self.proj = nn.Linear(heads * self.width, dim)

    def logits(self, q: Tensor, k: Tensor) -> Tensor:
        return (q * self.width**-0.5) @ k.transpose(-2, -1)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, self.width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention = self.logits(q, k).softmax(dim=-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(batch, length, -1))


class WindowAttention(Attention):
    """Attention among the tokens of a window, with a learned bias by relative position and an optional mask."""

    def __init__(self, dim: int, heads: int, window: int, mask: Tensor | None = None) -> None:
        super().__init__(dim, heads)
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((2 * window - 1) ** 2, heads))
        rows, columns = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        down = rows[:, None] - rows[None, :] + window - 1
        right = columns[:, None] - columns[None, :] + window - 1
        self.register_buffer("index", down * (2 * window - 1) + right, persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def logits(self, q: Tensor, k: Tensor) -> Tensor:
        bias = self.relative_position_bias_table[self.index.flatten()].view(*self.index.shape, -1)
        found = super().logits(q, k) + bias.permute(2, 0, 1)
        if self.mask is None:
            return found
        windows = len(self.mask)
        masked = found.view(-1, windows, *found.shape[1:]) + self.mask[None, :, None]
        return masked.view(found.shape)


def windows_of(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, window * window, C)."""
    batch, height, width, channels = x.shape
    cut = x.view(batch, height // window, window, width // window, window, channels)
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def grid_of(windows: Tensor, window: int, size: tuple[int, int]) -> Tensor:
    """The inverse of :func:`windows_of`."""
    height, width = size
    cut = windows.view(-1, height // window, width // window, window, window, windows.shape[-1])
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, windows.shape[-1])


def attend_in_windows(x: Tensor, attention: nn.Module, window: int, shift: int) -> Tensor:
    """Roll a grid (B, H, W, C) back by ``shift``, attend window by window, and roll it forth."""
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    x = grid_of(attention(windows_of(x, window)), window, (x.shape[1], x.shape[2]))
    return torch.roll(x, (shift, shift), (1, 2)) if shift else x
