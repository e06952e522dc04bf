"""Structural similarity (Wang et al., IEEE TIP 2004) as in scikit-image; ``window_sums.py`` computes it."""

from __future__ import annotations

from dataclasses import dataclass

from stbench.metrics.errors import MeanOfFrames

WINDOW = 7


@dataclass(frozen=True, kw_only=True)
class Similarity(MeanOfFrames):
    """A mean over windows, of which a frame must hold at least one; a missing cell would spoil all that hold it."""

    leaves_out_missing: bool = False

    def unavailable(self, frame: tuple[int, int, int]) -> str | None:
        """Frames smaller than the window."""
        _, height, width = frame
        if min(height, width) >= WINDOW:
            return None
        return f"its window needs frames of at least {WINDOW}×{WINDOW} pixels, these are {height}×{width}"


SSIM = Similarity(
    name="ssim",
    formula="structural similarity, 7×7 uniform window, sample covariance, data_range R, after clip; "
    "channels averaged; mean of frames",
    unit="",
    reference="Wang et al. 2004",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("ssim",),
    clips=True,
    value=lambda frames: frames.shared["ssim"],
)
SSIM_LEGACY = Similarity(
    name="ssim_legacy",
    formula="as ssim with data_range 2R, the inflated value of older tables",
    unit="",
    reference="Wang et al. 2004",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("ssim_legacy",),
    clips=True,
    value=lambda frames: frames.shared["ssim_legacy"],
)
