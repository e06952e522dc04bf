"""MAU's cell: motion from attention over recent states, fused with appearance. Axes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stbench.nn.conv_recurrent import GateConv

Memory = tuple[Tensor, Tensor]
"""Spatial input S and temporal output T of a cell at one step, each (B, n, H', W')."""


class MAUCell(nn.Module):
    """Motion-aware unit (eqs. 1–6): weighs T of the last ``window`` steps by the similarity of their S to the new S.

    ``residual`` adds S to the new S.
    """

    def __init__(self, n: int, kernel: int, size: tuple[int, int], window: int, residual: bool) -> None:
        super().__init__()
        self.window = window
        self.residual = residual
        self.conv_t = GateConv(n, 3 * n, kernel, size, layer_norm=True, bias=True)
        self.conv_t_next = GateConv(n, n, kernel, size, layer_norm=True, bias=True)
        self.conv_s = GateConv(n, 3 * n, kernel, size, layer_norm=True, bias=True)
        self.conv_s_next = GateConv(n, n, kernel, size, layer_norm=True, bias=True)

    def forward(self, s: Tensor, memories: list[Memory]) -> tuple[Tensor, Tensor]:
        """Map S (B, n, H', W') and the memories of past steps, oldest first, to the new T and S."""
        tg, tt, ts = self.conv_t(self._motion(s, memories)).chunk(3, dim=1)
        sg, st, ss = self.conv_s(s).chunk(3, dim=1)
        t_gate, s_gate = torch.sigmoid(tg), torch.sigmoid(sg)
        t = t_gate * tt + (1.0 - t_gate) * st
        out = s_gate * ss + (1.0 - s_gate) * ts
        return t, (out + s if self.residual else out)

    def _motion(self, s: Tensor, memories: list[Memory]) -> Tensor | None:
        """Return T_f, the last T fused with the attended ones; None (zeros) before the first step."""
        if not memories:
            return None
        weights = self._attention(s, memories)
        attended = torch.zeros_like(s)
        for j, (_, t) in enumerate(memories):
            attended = attended + weights[:, j, None, None, None] * t
        last = memories[-1][1]
        gate = torch.sigmoid(self.conv_t_next(last))
        return gate * last + (1.0 - gate) * attended

    def _attention(self, s: Tensor, memories: list[Memory]) -> Tensor:
        """Return softmax weights over the window (B, window); steps before the sequence began score 0."""
        query = self.conv_s_next(s)
        scale = query[0].numel() ** -0.5
        scores = torch.stack([(past * query).sum(dim=(1, 2, 3)) for past, _ in memories], dim=1) * scale
        return nn.functional.pad(scores, (0, self.window - len(memories))).softmax(dim=1)
