"""The eidetic 3-D LSTM cell (Wang et al., ICLR 2019, §3.2). Axes: B, C, D depth (always 2), H, W.

A convolution spans both depth planes, so its two output planes are equal. Without layer normalisation gates therefore
keep one plane (D = 1), at the resolution of the strided convolution, until they are combined with a state.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn import recompute

DEPTH = 2
KERNEL = 5
Memory = Literal["frozen", "carried"]
Recall = Literal["memory_order", "channels"]


class DepthConv(nn.Conv3d):
    """(2, 5, 5) conv without bias; then, with ``layer_norm``, LayerNorm over [C_out, 2, H', W']."""

    def __init__(self, c_in: int, c_out: int, stride: int, size: tuple[int, int], layer_norm: bool) -> None:
        super().__init__(c_in, c_out, (DEPTH, KERNEL, KERNEL), stride, bias=False)
        self.norm = nn.LayerNorm([c_out, DEPTH, *size]) if layer_norm else None
        self.size = size

    @property
    def macs(self) -> int:
        """Multiply-adds of one call on one sample, without the normalisation."""
        height, width = (-(-side // self.stride[1]) for side in self.size)
        return self.weight.numel() * height * width

    def forward(self, input: Tensor, rows: int | None = None) -> Tensor:
        """Map (B, C_in, 2, H', W') to (B, C_out, D, h, w); ``rows`` keeps the first output channels."""
        kernel = self.weight[:rows].flatten(1, 2)  # a 2-D conv of twice the channels computes both planes at once
        plane = F.conv2d(input.flatten(1, 2), kernel, stride=self.stride[1:], padding=KERNEL // 2)[:, :, None]
        return plane if self.norm is None else self._spread_and_norm(plane)

    def of_zero(self) -> Tensor | float:
        """Return the output for an all-zero input, broadcastable, without running the convolution."""
        if self.norm is None:
            return 0.0
        return self._spread_and_norm(self.weight.new_zeros(1, self.out_channels, 1, *self.size))

    def _spread_and_norm(self, plane: Tensor) -> Tensor:
        assert self.norm is not None, "asked for by the callers"
        return self.norm(spread(plane, self.size).expand(-1, -1, DEPTH, -1, -1))  # type: ignore[no-any-return]


def spread(gate: Tensor, size: tuple[int, int]) -> Tensor:
    """Map (B, C, D, h, w) to (B, C, D, H', W') by nearest resize; D stays."""
    if gate.shape[-2:] == size:
        return gate
    return F.interpolate(gate, (gate.shape[2], *size))


class LayerState(NamedTuple):
    """State of a layer between steps: h and c (B, n, 2, H', W'), and all earlier cell states as rows."""

    h: Tensor | None
    c: Tensor | None
    history: tuple[Tensor, ...]


class EideticCell(nn.Module):
    """One layer: gates, recall over all earlier cell states, and a memory m shared upwards by the layers."""

    def __init__(
        self,
        c_in: int,
        n: int,
        *,
        stride: int,
        size: tuple[int, int],
        layer_norm: bool,
        memory: Memory,
        recall: Recall,
    ) -> None:
        super().__init__()
        self.n, self.size, self.recall = n, size, recall
        self.conv_x = DepthConv(c_in, 7 * n, stride, size, layer_norm)
        self.conv_h = DepthConv(n, 4 * n, stride, size, layer_norm)
        self.conv_m = DepthConv(n, 4 * n, stride, size, layer_norm) if memory == "carried" else None
        self.memory_bias = nn.Parameter(torch.zeros(4 * n, DEPTH, *size)) if memory == "frozen" and layer_norm else None
        self.conv_new_cell = DepthConv(n, n, stride, size, layer_norm)
        self.conv_new_memory = DepthConv(n, n, stride, size, layer_norm)
        self.norm = nn.LayerNorm([n, DEPTH, *size])
        self.conv_last = nn.Conv3d(2 * n, n, 1, bias=False)

    @property
    def gates_of_x(self) -> int:
        """Number of gates of x that are needed: seven, or six without a memory, since f' has nothing to forget."""
        return 6 if self.conv_m is None and self.memory_bias is None else 7

    @property
    def queries(self) -> int:
        """Number of query rows of the recall; half of them if the two depth planes give equal rows."""
        height, width = self.size
        alike = self.conv_x.norm is None and (self.recall == "channels" or height * width % self.n == 0)
        return height * width * (1 if alike else DEPTH)

    def forward(self, x: Tensor, state: LayerState, m: Tensor | None) -> tuple[LayerState, Tensor]:
        """Map input (B, C_in, 2, H', W'), state and memory (B, n, 2, H', W') to the new state and memory.

        A memory of None means zeros.
        """
        gx = self.conv_x(x, self.gates_of_x * self.n)
        gh = self.conv_h.of_zero() if state.h is None else self.conv_h(state.h)
        i, g, r, o = (gx[:, : 4 * self.n] + gh).chunk(4, dim=1)
        written = spread(torch.sigmoid(i) * torch.tanh(g), self.size)
        c, history = self._recalled(spread(torch.sigmoid(r), self.size), state)
        c = self.norm(c) + written
        m = spread(self._new_memory(gx[:, 4 * self.n :], m), self.size).expand_as(c)
        o = torch.tanh(o + self.conv_new_cell(c) + self.conv_new_memory(m))
        both = torch.cat([c, m.to(c.dtype)], dim=1).flatten(2, 3)
        mixed = F.conv2d(both, self.conv_last.weight[..., 0]).view_as(c)
        h = spread(torch.sigmoid(o), self.size) * torch.tanh(mixed)
        return LayerState(h, c, history), m

    def _new_memory(self, gx: Tensor, m: Tensor | None) -> Tensor:
        """Return m* = f'⊙tanh(m̃) + i'⊙g' from the last gates of x; a frozen memory is 0 or a bias."""
        gm: Tensor | float = 0.0
        if self.memory_bias is not None:
            gm = self.memory_bias[None]
        elif self.conv_m is not None:
            gm = self.conv_m.of_zero() if m is None else self.conv_m(m)
        i, g, *forget = gx.chunk(self.gates_of_x - 4, dim=1)
        if not isinstance(gm, Tensor):
            return torch.sigmoid(i) * torch.tanh(g)
        im, fm, gate_m, candidate = gm.chunk(4, dim=1)
        kept = torch.sigmoid(forget[0] + fm + 1.0) * torch.tanh(candidate)
        return kept + torch.sigmoid(i + im) * torch.tanh(g + gate_m)

    def _recalled(self, r: Tensor, state: LayerState) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return c + A(r; E) and the extended history; at the first step the recall is 0."""
        if state.c is None:
            zero = r.new_zeros(1, self.n, DEPTH, *self.size, dtype=self.norm.weight.dtype)
            return zero, ()
        history = (*state.history, self._rows(state.c))
        planes = self.queries // (self.size[0] * self.size[1])
        found = recompute(attend, self._rows(r.expand(-1, -1, planes, -1, -1)), *history)
        like = (len(r), self.n, planes, *self.size)
        recalled = found.reshape(like) if self.recall == "memory_order" else found.transpose(1, 2).reshape(like)
        return state.c + recalled, history

    def _rows(self, x: Tensor) -> Tensor:
        """Cut (B, n, D, H', W') into rows of n numbers (B, D·H'·W', n), in memory order or by position."""
        return x.reshape(len(x), -1, self.n) if self.recall == "memory_order" else x.flatten(2).transpose(1, 2)


def attend(query: Tensor, *history: Tensor) -> Tensor:
    """Return softmax(Q·Kᵀ)·K, where K are the rows of all cell states since the initial zeros; (B, rows, n) each."""
    keys = torch.cat([torch.zeros_like(history[0]), *history], dim=1)[:, None]
    return F.scaled_dot_product_attention(query[:, None].to(keys.dtype), keys, keys, scale=1.0)[:, 0]
