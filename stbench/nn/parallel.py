"""Feed-forward methods, which predict a block of frames in one pass. Axes: B, T, C, H, W."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stbench.nn.method import Method


class ParallelForecaster(Method):
    """Base of feed-forward methods: repeats :meth:`predict_block` as needed and keeps the first T_out frames."""

    pads_frames = True

    def predict_block(self, past: Tensor) -> Tensor:
        """Predict the next T_in frames after ``past`` (B, T_in, C, H, W), same shape."""
        raise NotImplementedError

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile :meth:`predict_block`."""
        self.predict_block = torch.compile(self.predict_block, *args, **kwargs)  # type: ignore[method-assign]

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, T_in, C, H, W) to (B, T_out, C, H, W) in its dtype; each pass reads the previous pass."""
        self.check_past(past)
        passes = [self.crop(self.predict_block(self.pad(past)))]
        while len(passes) * self.shape.t_in < self.shape.t_out:
            passes.append(self.crop(self.predict_block(self.pad(passes[-1]))))
        future = passes[0] if len(passes) == 1 else torch.cat(passes, dim=1)
        return future[:, : self.shape.t_out].to(past.dtype)
