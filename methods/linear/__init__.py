"""Linear extrapolation of the last change: a sanity check, often worse than persistence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import Method, MethodConfig
from stbench.schema import Benchmark, ClipShape


class LinearConfig(MethodConfig):
    """``value_range``: limits to which predictions are clipped; None does not clip."""

    value_range: tuple[float, float] | None = (0.0, 1.0)


class Linear(Method):
    """Predict frame k as the last past frame plus k times the last difference, clipped to the data's range."""

    Config = LinearConfig
    config: LinearConfig
    summary = "last frame plus k times the last change"

    def __init__(self, shape: ClipShape, config: LinearConfig) -> None:
        super().__init__(shape, config)
        if shape.t_in < 2:
            raise UserError(f"t_in = {shape.t_in}: linear extrapolation needs 2 past frames. Use persistence.")

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:
        """Skip benchmarks with fewer than two past frames."""
        return None if benchmark.shape.t_in >= 2 else "needs at least 2 past frames"

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:
        """Clip to the benchmark's value range."""
        return {"value_range": benchmark.value_range}

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, T_in, C, H, W) to (B, T_out, C, H, W)."""
        self.check_past(past)
        last = past[:, -1:]
        lead = torch.arange(1, self.shape.t_out + 1, device=past.device, dtype=past.dtype)[:, None, None, None]
        future = last + lead * (last - past[:, -2:-1])
        return future if self.config.value_range is None else future.clamp(*self.config.value_range)
