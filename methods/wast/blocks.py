"""Blocks of WaST's stacks (Nie et al., AAAI 2024, §3.3). Axes: B, C, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.depthwise import DepthwiseConv
from stbench.nn.drop_path import DropPath

from .large_kernel import StripConv

LAYER_SCALE = 1e-2
SMALL_KERNEL = 5
MIXER_KERNEL = 7
SQUEEZE = 4
MULTIPLE = 8


def rounded(width: float) -> int:
    """Round ``width`` to a multiple of 8, at least 8 and at most a tenth below ``width``.

    >>> rounded(64.0), rounded(3.0), rounded(18.0)
    (64, 8, 24)
    """
    nearest = max(MULTIPLE, int(width + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return nearest + MULTIPLE if nearest < 0.9 * width else nearest


class FrequencyAttention(nn.Module):
    """u ⊙ a_w ⊙ a_h: gates per row and per column from the means over width and height."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 4)
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_h = nn.Conv2d(hidden, channels, 1)
        self.conv_w = nn.Conv2d(hidden, channels, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        height, width = u.shape[2:]
        rows = F.adaptive_avg_pool2d(u, (height, 1))
        columns = F.adaptive_avg_pool2d(u, (1, width)).transpose(2, 3)
        squeezed = F.hardswish(self.bn1(self.conv1(torch.cat([rows, columns], dim=2))))
        rows, columns = squeezed[:, :, :height], squeezed[:, :, height:]
        return u * torch.sigmoid(self.conv_w(columns)).transpose(2, 3) * torch.sigmoid(self.conv_h(rows))


class SqueezeExcite(nn.Module):
    """Gate per channel from the spatial mean (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = round(channels / SQUEEZE)
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.conv_expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        mean = x.sum((2, 3), keepdim=True) / (
            x.shape[2] * x.shape[3]
        )  # a sum: counters ignore it, as published counts do
        return x * torch.sigmoid(self.conv_expand(F.relu(self.conv_reduce(mean))))


class TemporalMixer(nn.Module):
    """Inverted residual without skip: 1×1 to ratio·C → depth-wise 7×7 → squeeze-excite → 1×1 back."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        wide, reach = rounded(ratio * channels), MIXER_KERNEL // 2
        self.conv_pw = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv_dw = nn.Conv2d(wide, wide, MIXER_KERNEL, padding=reach, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.se = SqueezeExcite(wide)
        self.conv_pwl = nn.Conv2d(wide, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = F.relu(self.bn1(self.conv_pw(x)))
        x = self.se(F.relu(self.bn2(self.conv_dw(x))))
        return self.bn3(self.conv_pwl(x))  # type: ignore[no-any-return]


class FrequencyBlock(nn.Module):
    """x ← x + γ⊙[low(large kernels) + high(small kernel)]; x ← x + γ⊙mixer(x), with a shared γ."""

    def __init__(self, channels: int, kernel: int, ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.lk1 = nn.Sequential(StripConv(channels, kernel, SMALL_KERNEL), nn.BatchNorm2d(channels))
        self.lk2 = nn.Sequential(StripConv(channels, SMALL_KERNEL, kernel), nn.BatchNorm2d(channels))
        self.sk = nn.Sequential(DepthwiseConv(channels, SMALL_KERNEL), nn.BatchNorm2d(channels))
        self.low_frequency_attn = FrequencyAttention(channels)
        self.high_frequency_attn = FrequencyAttention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.temporal_mixer = TemporalMixer(channels, ratio)
        self.gamma = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.drop_path = DropPath(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        gamma, a = self.gamma[:, None, None], self.norm1(x)
        spatial = self.low_frequency_attn(self.lk1(a) + self.lk2(a)) + self.high_frequency_attn(self.sk(a))
        x = x + self.drop_path(gamma * spatial)
        return x + self.drop_path(gamma * self.temporal_mixer(self.norm2(x)))  # type: ignore[no-any-return]


class FrequencyStack(nn.Module):
    """``count`` blocks over frames stacked on channels, channel index c·T + t."""

    def __init__(self, channels: int, count: int, kernel: int, ratio: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FrequencyBlock(channels, kernel, ratio) for _ in range(count))

    @property
    def unpriced(self) -> int:
        """Number of weights of the spatial depth-wise convolutions, which published counts leave out."""
        convs = (conv for block in self.blocks for conv in (block.lk1, block.lk2, block.sk))
        return sum(cast("nn.Conv2d", cast("nn.Sequential", conv)[0]).weight.numel() for conv in convs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C·T, H, W) to the same shape."""
        for block in self.blocks:
            x = block(x)
        return x


def set_drop_path(stacks: Sequence[FrequencyStack], rate: float) -> None:
    """Set stochastic depth rates rising linearly from 0 at the first block to ``rate`` at the last."""
    blocks = [cast("FrequencyBlock", block) for stack in stacks for block in stack.blocks]
    for index, block in enumerate(blocks):
        block.drop_path.rate = rate * index / max(len(blocks) - 1, 1)
