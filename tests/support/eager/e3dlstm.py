"""E3D-LSTM without layer norm at the gates, as published. Axes: B, C, D, H, W; D = 2 frames; frames in patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .recurrent import InPatches

Size = tuple[int, int]


def named(**modules: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(modules)


class Conv(nn.Sequential):
    """3-D convolution, resized to the cell's size."""

    def __init__(self, c_in: int, c_out: int, stride: int, size: Size) -> None:
        conv = nn.Conv3d(c_in, c_out, (2, 5, 5), stride, padding=(0, 2, 2), bias=False)
        super().__init__(named(conv3d=conv))
        self.size = (2, *size)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self[0]["conv3d"](x), size=self.size)


class EideticCell(nn.Module):
    def __init__(self, c_in: int, n: int, stride: int, size: Size, carried: bool, channels: bool) -> None:
        super().__init__()
        self.n, self.channels = n, channels
        self.conv_x = Conv(c_in, 7 * n, stride, size)
        self.conv_h = Conv(n, 4 * n, stride, size)
        if carried:
            self.conv_gm = Conv(n, 4 * n, stride, size)
        self.conv_new_cell = Conv(n, n, stride, size)
        self.conv_new_gm = Conv(n, n, stride, size)
        self.conv_last = named(conv3d=nn.Conv3d(2 * n, n, 1, bias=False))
        self._norm_c_t = nn.LayerNorm([n, 2, *size])

    def recalled(self, r: Tensor, history: list[Tensor]) -> Tensor:
        """Attention of the recall gate to all cell states, rows of n numbers."""
        if self.channels:
            q, k = r.flatten(2).transpose(1, 2), torch.cat([c.flatten(2) for c in history], dim=2).transpose(1, 2)
        else:
            q, k = r.reshape(len(r), -1, self.n), torch.cat(history, dim=1).reshape(len(r), -1, self.n)
        found = torch.softmax(q @ k.transpose(1, 2), dim=-1) @ k
        return (found.transpose(1, 2) if self.channels else found).reshape(r.shape)

    def forward(self, x: Tensor, h: Tensor, m: Tensor, history: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        ix, gx, rx, ox, ix2, gx2, fx2 = torch.chunk(self.conv_x(x), 7, dim=1)
        ih, gh, rh, oh = torch.chunk(self.conv_h(h), 4, dim=1)
        c = history[-1] + self.recalled(torch.sigmoid(rx + rh), history)
        c = self._norm_c_t(c) + torch.sigmoid(ix + ih) * torch.tanh(gx + gh)
        if hasattr(self, "conv_gm"):
            im, fm, gm, mm = torch.chunk(self.conv_gm(m), 4, dim=1)
            write = torch.sigmoid(ix2 + im) * torch.tanh(gx2 + gm)
            m = torch.sigmoid(fx2 + fm + 1.0) * torch.tanh(mm) + write
        else:  # a memory that stays 0
            m = torch.sigmoid(ix2) * torch.tanh(gx2)
        o = torch.tanh(ox + oh + self.conv_new_cell(c) + self.conv_new_gm(m))
        return torch.sigmoid(o) * torch.tanh(self.conv_last["conv3d"](torch.cat([c, m], dim=1))), c, m


class E3DLSTM(InPatches):
    def __init__(
        self,
        *lengths: int,
        stride: int = 1,
        memory: str = "frozen",
        recall: str = "memory_order",
        layer_norm: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__(*lengths, **sizes)
        if layer_norm:
            raise ValueError("no eager reference of E3D-LSTM with layer norm")
        n = self.hidden[0]
        ins, form = [self.depth, *self.hidden[:-1]], (memory == "carried", recall == "channels")
        self.cell_list = nn.ModuleList(EideticCell(c_in, n, stride, self.size, *form) for c_in in ins)
        self.conv_last = nn.Conv3d(n, self.depth, (2, 1, 1), (2, 1, 1), bias=False)

    def start(self, clip: Tensor) -> Any:
        zero = clip.new_zeros(len(clip), self.hidden[0], 2, *self.size)
        return clip.new_zeros(len(clip), self.depth, *self.size), [(zero, [zero]) for _ in self.hidden], zero

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        before, layers, m = state
        patches = self.patches(frame)
        x, new = torch.stack([before, patches], dim=2), []
        for cell, (h, history) in zip(self.cell_list, layers, strict=True):
            x, c, m = cell(x, h, m, history)
            new.append((x, [*history, c]))
        return self.frames(self.conv_last(x).squeeze(2)), (patches, new, m)

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        emissions, _ = self.emissions(clip, feed)
        return F.mse_loss(emissions, clip[:, 1:]) + F.l1_loss(emissions, clip[:, 1:])
