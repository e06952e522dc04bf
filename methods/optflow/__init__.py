"""Extrapolation by optical flow: the last frame moves on with the motion seen in the past (Lagrangian persistence).

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
from stbench.schema import Benchmark, ClipShape

from .advection import advect, fill_gaps
from .motion import Motion, displacement


class OptFlowConfig(MethodConfig):
    """How motion is estimated and what lies beyond the frame.

    ``motion``: "lucas_kanade" and "tvl1" give each pixel a displacement of its own, "global" one to the whole frame
    (the peak of the cross-correlation, to a tenth of a pixel). ``pairs``: how many of the last pairs of frames the
    motion is averaged over. ``radius``: half the window of Lucas-Kanade, in pixels. ``border``: what moves in from
    outside, the "edge" pixel repeated or "zero" in model space.
    """

    motion: Motion = "lucas_kanade"
    pairs: PositiveInt = 1
    radius: PositiveInt = 7
    border: Literal["edge", "zero"] = "edge"


class OptFlow(Method):
    """Motion by scikit-image from the mean over channels, then backward semi-Lagrangian advection of the last frame.

    A value that is not finite is replaced by its pixel's last finite one, and the prediction is always finite.
    """

    Config = OptFlowConfig
    config: OptFlowConfig
    summary = "the last frame carried on by the optical flow of the past ones"

    def __init__(self, shape: ClipShape, config: OptFlowConfig) -> None:
        super().__init__(shape, config)
        if shape.t_in < 2:
            raise UserError(f"t_in = {shape.t_in}: motion needs 2 past frames. Use persistence.")

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:
        """Motion needs two past frames."""
        return None if benchmark.shape.t_in >= 2 else "needs at least 2 past frames"

    def forward(self, past: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> (B, T_out, C, H, W); the motion is computed on the CPU."""
        self.check_past(past)
        known = fill_gaps(past.float())
        pairs = min(self.config.pairs, self.shape.t_in - 1)
        gray_BTHW = known[:, -pairs - 1 :].mean(dim=2).detach().cpu().numpy()
        fields = [displacement(clip, self.config.motion, self.config.radius) for clip in gray_BTHW]
        back_B2HW = -torch.from_numpy(np.stack(fields)).to(known)
        return advect(known[:, -1], back_B2HW, self.shape.t_out, self.config.border).to(past.dtype)
