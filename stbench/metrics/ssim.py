"""Structural similarity (Wang et al., IEEE TIP 2004) as in scikit-image; ``window_sums.py`` computes it."""

from __future__ import annotations

from stbench.metrics.errors import MeanOfFrames

SSIM = MeanOfFrames(
    name="ssim",
    formula="structural similarity, 7×7 uniform window, sample covariance, data_range R, after clip; "
    "channels averaged; mean of frames",
    unit="",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("ssim",),
    value=lambda frames: frames.shared["ssim"],
)
SSIM_LEGACY = MeanOfFrames(
    name="ssim_legacy",
    formula="as ssim with data_range 2R, the inflated value of older tables",
    unit="",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("ssim_legacy",),
    value=lambda frames: frames.shared["ssim_legacy"],
)
