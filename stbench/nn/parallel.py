"""Methods that see all past frames at once and return the future in one pass. Axes: B, T, C, H, W."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stbench.nn.method import Method


class ParallelForecaster(Method):
    """Repeats :meth:`one_pass` until T_out frames exist and keeps the first T_out."""

    def one_pass(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> the next T_in frames, same shape."""
        raise NotImplementedError

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile :meth:`one_pass`."""
        self.one_pass = torch.compile(self.one_pass, *args, **kwargs)  # type: ignore[method-assign]

    def forward(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> (B, T_out, C, H, W) in its precision; each further pass reads the pass before."""
        self.check_past(past)
        passes = [self.one_pass(past)]
        while len(passes) * self.shape.t_in < self.shape.t_out:
            passes.append(self.one_pass(passes[-1]))
        future = passes[0] if len(passes) == 1 else torch.cat(passes, dim=1)
        return future[:, : self.shape.t_out].to(past.dtype)
