"""Persistence: every future frame is the last past frame, a baseline in every table."""

from __future__ import annotations

from torch import Tensor

from stbench.nn import Method


class Persistence(Method):
    """Repeat the last past frame."""

    summary = "every future frame is the last past frame"

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, T_in, C, H, W) to (B, T_out, C, H, W)."""
        self.check_past(past)
        return past[:, -1:].repeat(1, self.shape.t_out, 1, 1, 1)
