"""PredFormer. Axes: B, T, C, H, W; tokens (B, T, N, d) of N patches; sequences (rows, length, d)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import OnePass, dropped

SPACE, TIME, BOTH = "space", "time", "both"
STS = {"space_transformer_first": SPACE, "temporal_transformer": TIME, "space_transformer_second": SPACE}
TST = {"temporal_transformer_first": TIME, "space_transformer": SPACE, "temporal_transformer_second": TIME}
ST = {"st_space_transformer": SPACE, "st_temporal_transformer": TIME}
TS = {"ts_temporal_transformer": TIME, "ts_space_transformer": SPACE}
WHOLE = {
    "fullattention": {"space_temporal_transformer": BOTH},
    "facst": {"space_transformer": SPACE, "temporal_transformer": TIME},
    "facts": {"temporal_transformer": TIME, "space_transformer": SPACE},
}
LAYERED = {
    "binary_st": ST,
    "binary_ts": TS,
    "triplet_sts": STS,
    "triplet_tst": TST,
    "quadruplet_stts": ST | TS,
    "quadruplet_tsst": TS | ST,
}
"""Variant -> its stacks in order of application."""


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.width = width
        self.to_qkv = nn.Linear(dim, 3 * heads * width, bias=False)
        if heads > 1 or width != dim:
            self.to_out = nn.Sequential(nn.Linear(heads * width, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q, k, v = self.to_qkv(x).view(rows, length, 3, self.heads, self.width).permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q @ k.transpose(-1, -2) * self.width**-0.5).softmax(dim=-1)
        out = (attention @ v).transpose(1, 2).reshape(rows, length, -1)
        return self.to_out(out) if hasattr(self, "to_out") else out


class SwiGLU(nn.Module):
    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1_g = nn.Linear(dim, hidden)
        self.fc1_x = nn.Linear(dim, hidden)
        self.act = nn.SiLU()
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.fc1_g(x)) * self.fc1_x(x))))


class PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class Stack(nn.Module):
    """Gated transformer blocks and a norm, over sequences in space, in time or in both."""

    def __init__(self, along: str, blocks: list[nn.ModuleList], dim: int, drop_path: float) -> None:
        super().__init__()
        self.along = along
        self.drop_path = drop_path
        self.layers = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim)

    def sequence(self, x: Tensor) -> Tensor:
        for attention, feed_forward in self.layers:
            x = x + dropped(attention(x), self.drop_path, self.training)
            x = x + dropped(feed_forward(x), self.drop_path, self.training)
        return self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.along == TIME:
            turned = x.transpose(1, 2)
            return self.sequence(turned.flatten(0, 1)).view(turned.shape).transpose(1, 2)
        return self.sequence(x.flatten(0, 1) if self.along == SPACE else x.flatten(1, 2)).view(x.shape)


class PredFormer(OnePass):
    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        size: tuple[int, int],
        variant: str,
        patch: int,
        dim: int,
        heads: int,
        dim_head: int,
        scale_dim: int,
        blocks: int = 1,
        ndepth: int | None = None,
        depth: int = 1,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        drop_path: float = 0.0,
        layer_skip: bool = False,
    ) -> None:
        super().__init__(t_in, t_out)
        self.patch = patch
        self.grid = (size[0] // patch, size[1] // patch)
        self.skip = layer_skip
        values, tokens = channels * patch * patch, self.grid[0] * self.grid[1]
        self.to_patch_embedding = nn.Sequential(nn.Identity(), nn.Linear(values, dim))
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, values))
        index = torch.arange(t_in * tokens, dtype=torch.float64)[:, None]
        powers = 2 * (torch.arange(dim, dtype=torch.float64) // 2) / dim
        angles = (index / 10000**powers).float()
        angles[:, 0::2], angles[:, 1::2] = torch.sin(angles[:, 0::2]), torch.cos(angles[:, 1::2])
        self.register_buffer("positions", angles.view(t_in, tokens, dim), persistent=False)

        def stack(along: str, count: int) -> Stack:
            parts = [
                nn.ModuleList(
                    [
                        PreNorm(dim, Attention(dim, heads, dim_head, attn_dropout)),
                        PreNorm(dim, SwiGLU(dim, scale_dim * dim, dropout)),
                    ]
                )
                for _ in range(count)
            ]
            return Stack(along, parts, dim, drop_path)

        if variant in WHOLE:
            each = ndepth or blocks // len(WHOLE[variant])
            self.order = list(WHOLE[variant])
            for name, along in WHOLE[variant].items():
                self.add_module(name, stack(along, each))
            return
        stacks, self.order = LAYERED[variant], None
        layers = ndepth or blocks // (len(stacks) * depth)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: stack(along, depth) for name, along in stacks.items()}) for _ in range(layers)
        )

    def predict_block(self, past: Tensor) -> Tensor:
        batch, t_in, channels, height, width = past.shape
        p, (rows, columns) = self.patch, self.grid
        cut = past.view(batch, t_in, channels, rows, p, columns, p)
        patches = cut.permute(0, 1, 3, 5, 4, 6, 2).reshape(batch, t_in, rows * columns, p * p * channels)
        x = self.to_patch_embedding(patches) + self.positions
        if self.order is not None:
            for name in self.order:
                x = getattr(self, name)(x)
        else:
            for layer in self.blocks:
                before = x
                for stack in layer.values():
                    x = stack(x)
                x = x + before if self.skip else x
        out = self.mlp_head(x).view(batch, t_in, rows, columns, channels, p, p)
        return out.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, t_in, channels, height, width)
