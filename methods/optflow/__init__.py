"""Extrapolation by optical flow: the last frame is advected with the motion of the past (Lagrangian persistence).

The baseline of radar nowcasting (Germann and Zawadzki, "Scale-Dependence of the Predictability of Precipitation", 2002;
Ayzel et al., "Optical flow models as an open benchmark for radar-based precipitation nowcasting", 2019).
Axes: B, T, C, H, W; a displacement field (B, 2, H, W) is in pixels per frame, rows then columns.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import Method, MethodConfig
from stbench.nn.padding import mirror
from stbench.schema import Benchmark, ClipShape

from .advection import advect, fill_gaps
from .motion import Motion, displacement


class OptFlowConfig(MethodConfig):
    """How motion is estimated and how the border is filled.

    ``motion``: "lucas_kanade" and "tvl1" estimate one displacement per pixel, "global" one per frame (the peak of the
    cross-correlation, to a tenth of a pixel). ``pairs``: number of last pairs of frames over which motion is averaged.
    ``radius``: half the window of Lucas-Kanade, in pixels. ``border``: value outside the frame, the repeated "edge"
    pixel or "zero" in model space.
    """

    motion: Motion = "lucas_kanade"
    pairs: PositiveInt = 1
    radius: PositiveInt = 7
    border: Literal["edge", "zero"] = "edge"


SMALLEST = 2
"""Pixels per side that a gradient needs."""


class OptFlow(Method):
    """Estimate motion from the mean over channels, then advect the last frame (backward semi-Lagrangian).

    A value that is not finite is replaced by the pixel's last finite one, so predictions are always finite.
    """

    Config = OptFlowConfig
    config: OptFlowConfig
    summary = "advects the last frame with the optical flow of the past frames"

    def __init__(self, shape: ClipShape, config: OptFlowConfig) -> None:
        super().__init__(shape, config)
        if shape.t_in < 2:
            raise UserError(f"t_in = {shape.t_in}: motion needs 2 past frames. Use persistence.")

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:
        """Skip benchmarks with fewer than two past frames."""
        return None if benchmark.shape.t_in >= 2 else "needs at least 2 past frames"

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, T_in, C, H, W) to (B, T_out, C, H, W); the motion is computed on the CPU."""
        self.check_past(past)
        known = fill_gaps(past.float())
        pairs = min(self.config.pairs, self.shape.t_in - 1)
        gray_BTHW = known[:, -pairs - 1 :].mean(dim=2).detach().cpu()
        height, width = gray_BTHW.shape[2:]
        large_BTHW = mirror(gray_BTHW, max(height, SMALLEST), max(width, SMALLEST)).numpy()
        fields = [displacement(clip, self.config.motion, self.config.radius) for clip in large_BTHW]
        back_B2HW = -torch.from_numpy(np.stack(fields)).to(known)[..., :height, :width]
        return advect(known[:, -1], back_B2HW, self.shape.t_out, self.config.border).to(past.dtype)
