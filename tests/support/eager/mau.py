"""MAU. Axes: B, C, H, W."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import RolledOut

Size = tuple[int, int]


def normed(c_in: int, c_out: int, kernel: int, size: Size) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.LayerNorm([c_out, *size]))


class MAUCell(nn.Module):
    def __init__(self, n: int, kernel: int, size: Size, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv_t = normed(n, 3 * n, kernel, size)
        self.conv_t_next = normed(n, n, kernel, size)
        self.conv_s = normed(n, 3 * n, kernel, size)
        self.conv_s_next = normed(n, n, kernel, size)

    def forward(self, s: Tensor, seen: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """S and the last inputs and outputs (S, T) of this layer -> the new T and S."""
        before_s, before_t = (torch.stack(parts) for parts in zip(*seen, strict=True))
        t = seen[-1][1]
        t_next, s_next = self.conv_t_next(t), self.conv_s_next(s)
        weights = (before_s * s_next).sum((2, 3, 4)) / s[0].numel() ** 0.5
        attended = (torch.softmax(weights, dim=0)[:, :, None, None, None] * before_t).sum(0)
        gate = torch.sigmoid(t_next)
        fused = gate * t + (1 - gate) * attended
        tg, tt, ts = torch.chunk(self.conv_t(fused), 3, dim=1)
        sg, st, ss = torch.chunk(self.conv_s(s), 3, dim=1)
        tg, sg = torch.sigmoid(tg), torch.sigmoid(sg)
        new = sg * ss + (1 - sg) * ts
        return tg * tt + (1 - tg) * st, new + s if self.residual else new


class MAU(RolledOut):
    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        size: Size,
        hidden: Sequence[int],
        kernel: int,
        downsampling: int,
        window: int = 5,
        recall: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__(t_in, t_out)
        n, halvings = hidden[0], downsampling.bit_length() - 1
        self.width, self.window, self.recall = n, window, recall
        self.size = (size[0] // downsampling, size[1] // downsampling)

        def stage(name: str, conv: nn.Module, act: bool = True) -> nn.Sequential:
            return nn.Sequential(OrderedDict({name: conv} | ({"act": nn.LeakyReLU(0.2)} if act else {})))

        down = [stage(f"encoder_t{i}", nn.Conv2d(n, n, 3, 2, 1)) for i in range(halvings)]
        self.encoders = nn.ModuleList([stage("encoder_t_conv-1", nn.Conv2d(channels, n, 1)), *down])
        self.decoders = nn.ModuleList(
            stage(f"c_decoder{i}", nn.ConvTranspose2d(n, n, 3, 2, 1, output_padding=1), act=i < halvings - 1)
            for i in range(halvings)
        )
        self.cell_list = nn.ModuleList(MAUCell(n, kernel, self.size, residual) for _ in hidden)
        self.srcnn = nn.Sequential(nn.Conv2d(n, channels, 1))

    def start(self, clip: Tensor) -> Any:
        zero = clip.new_zeros(len(clip), self.width, *self.size)
        return [[(zero, zero)] * self.window for _ in self.cell_list]

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        features = [frame]
        for stage in self.encoders:
            features.append(stage(features[-1]))
        s, new = features[-1], []
        for cell, seen in zip(self.cell_list, state, strict=True):
            t, out = cell(s, seen)
            new.append([*seen[1:], (s, t)])
            s = out
        for number, stage in enumerate(self.decoders, start=1):
            s = stage(s)
            s = s + features[-1 - number] if self.recall else s
        return self.srcnn(s), new
