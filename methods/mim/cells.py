"""MIM's two cells (Wang et al., CVPR 2019, §4). Axes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn.conv_recurrent import GateConv, sum_gates


class PeepholeLSTMCell(nn.Module):
    """ConvLSTM with element-wise weights on its cell: MIM-N, and MIM-S inside a block (eqs. 4 and 5).

    The input is the difference between two steps, or None at the first step.
    """

    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_h = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.conv_x = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.input_forget = nn.Parameter(torch.zeros(2 * n, *size))
        self.output = nn.Parameter(torch.zeros(n, *size))

    def forward(self, x: Tensor | None, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map x, h and c (B, n, H', W') to the new h and c; None means zeros.

        If all three are None, the result is broadcastable.
        """
        i, g, f, o = sum_gates((self.conv_h, h, "gggg"), (self.conv_x, x, "gggg"))["g"].chunk(4, dim=1)
        if c is None:
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            vi, vf = self.input_forget.chunk(2)
            c = torch.sigmoid(f + vf * c + 1.0) * c + torch.sigmoid(i + vi * c) * torch.tanh(g)
        return torch.sigmoid(o + self.output * c) * torch.tanh(c), c


class MIMBlock(nn.Module):
    """ST-LSTM in which MIM-S, fed with differences, replaces the forget gate of the temporal memory (eq. 3)."""

    def __init__(self, n: int, kernel: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__()
        self.conv_t = GateConv(n, 3 * n, kernel, size, layer_norm)
        self.conv_s = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.conv_x = GateConv(n, 4 * n, kernel, size, layer_norm)
        self.stationary = PeepholeLSTMCell(n, kernel, size, layer_norm)
        self.conv_last = nn.Conv2d(2 * n, n, 1, bias=False)

    def forward(
        self,
        x: Tensor,
        difference: Tensor | None,
        h: Tensor | None,
        c: Tensor | None,
        m: Tensor,
        s: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the new h, c, m and the block's cell state s, detached; all (B, n, H', W'), None means zeros."""
        it, gt, ot = self.conv_t(h).chunk(3, dim=1)
        is_, gs, fs, os_ = self.conv_s(m).chunk(4, dim=1)
        ix, gx, fx, ox = self.conv_x(x).chunk(4, dim=1)
        m = torch.sigmoid(fx + fs + 1.0) * m + torch.sigmoid(ix + is_) * torch.tanh(gx + gs)
        c, s = self.stationary(difference, c, s)
        c = c + torch.sigmoid(ix + it) * torch.tanh(gx + gt)
        o = torch.sigmoid(ox + ot + os_)
        return o * torch.tanh(self.conv_last(torch.cat([c, m], dim=1))), c, m, s.detach()
