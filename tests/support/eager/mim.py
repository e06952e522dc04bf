"""MIM. Axes: B, C, H, W; frames are cut into patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .recurrent import InPatches, STLSTMCell, gate_conv


class Peephole(nn.Module):
    """MIM-N and MIM-S: an LSTM with elementwise weights on its cell."""

    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_h_concat = gate_conv(n, 4 * n, kernel, size, layer_norm)
        self.conv_x_concat = gate_conv(n, 4 * n, kernel, size, layer_norm)
        self.ct_weight = nn.Parameter(torch.zeros(2 * n, *size))
        self.oc_weight = nn.Parameter(torch.zeros(n, *size))

    def peephole(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, g, f, o = torch.chunk(self.conv_h_concat(h) + self.conv_x_concat(x), 4, dim=1)
        vi, vf = torch.chunk(self.ct_weight * torch.cat([c, c], dim=1), 2, dim=1)
        c = torch.sigmoid(f + vf + 1.0) * c + torch.sigmoid(i + vi) * torch.tanh(g)
        return torch.sigmoid(o + self.oc_weight * c) * torch.tanh(c), c


class MIMBlock(Peephole):
    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__(n, kernel, size, layer_norm)
        self.conv_t_cc = gate_conv(n, 3 * n, kernel, size, layer_norm)
        self.conv_s_cc = gate_conv(n, 4 * n, kernel, size, layer_norm)
        self.conv_x_cc = gate_conv(n, 4 * n, kernel, size, layer_norm)
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(self, x: Tensor, d: Tensor, h: Tensor, c: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        it, gt, ot = torch.chunk(self.conv_t_cc(h), 3, dim=1)
        i_s, gs, fs, os = torch.chunk(self.conv_s_cc(m), 4, dim=1)
        ix, gx, fx, ox = torch.chunk(self.conv_x_cc(x), 4, dim=1)
        m = torch.sigmoid(fx + fs + 1.0) * m + torch.sigmoid(ix + i_s) * torch.tanh(gx + gs)
        c, s = self.peephole(d, c, s)
        c = c + torch.sigmoid(ix + it) * torch.tanh(gx + gt)
        h = torch.sigmoid(ox + ot + os) * torch.tanh(self.conv_last(torch.cat([c, m], dim=1)))
        return h, c, m, s.detach()


class MIM(InPatches):
    """A PredRNN cell and MIM blocks; MIM-N cells pass the first layer's change up the blocks."""

    def __init__(self, *lengths: int, kernel: int, layer_norm: bool = False, **sizes: Any) -> None:
        super().__init__(*lengths, **sizes)
        n, above = self.hidden[0], self.hidden[1:]
        options = (n, kernel, self.size, layer_norm)
        self.stlstm_layer = nn.ModuleList([STLSTMCell(self.depth, *options), *(MIMBlock(*options) for _ in above)])
        self.stlstm_layer_diff = nn.ModuleList(Peephole(*options) for _ in above)
        self.conv_last = nn.Conv2d(n, self.depth, 1, bias=False)

    def start(self, clip: Tensor) -> Any:
        zero, above = self.zeros(clip, self.hidden[0]), len(self.stlstm_layer_diff)
        return [(zero, zero)] * (above + 1), zero, [zero] * above, [(zero, zero)] * above, True

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        layers, m, inner, differences, first = state
        x, c, m, _, _ = self.stlstm_layer[0](self.patches(frame), *layers[0], m)
        d = torch.zeros_like(x) if first else x - layers[0][0]
        new, new_inner, new_differences = [(x, c)], [], []
        for level, block in enumerate(self.stlstm_layer[1:]):
            change = differences[level]
            if not first:
                change = self.stlstm_layer_diff[level].peephole(d, *change)
                d = change[0]
            x, c, m, s = block(x, d, *layers[level + 1], m, inner[level])
            new.append((x, c))
            new_inner.append(s)
            new_differences.append(change)
        return self.frames(self.conv_last(x)), (new, m, new_inner, new_differences, False)
