"""Signal-to-noise ratios of frames clipped to [0, R]; equal frames score the cap, not infinity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stbench.metrics.errors import MeanOfFrames
from stbench.metrics.metric import Metric, Reduction

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames

CAP = 100.0
"""The largest PSNR and SNR, in dB: a squared error of 1e-10 R², below which float32 frames are equal in practice."""


def _snr(frames: Frames) -> Tensor:
    error = frames.shared["clipped"]
    ratio = 10 * (frames.shared["signal"] / error).log10()
    return ratio.masked_fill(error == 0, CAP).clamp(-CAP, CAP)  # 0/0: an empty frame that is predicted as such


@dataclass(frozen=True, kw_only=True)
class PooledPsnr(Metric):
    """PSNR of the mean squared error of all frames, for data on which single frames can be perfect."""

    leaves_out_missing: bool = True

    @property
    def reduction(self) -> Reduction:
        """The score of the mean of a statistic that is not the score of a frame."""
        return "parts"

    def statistics(self, frames: Frames) -> Tensor:
        """Mean squared error of each frame as a share of R²."""
        return frames.shared["clipped"] / (frames.pixels * frames.peak**2)

    def finish(self, means: Sequence[Any]) -> Any:
        """-10·log10 of the mean, at most the cap."""
        import numpy as np

        least = 10 ** (-CAP / 10)
        if isinstance(means[0], np.ndarray | float):  # as in a report, which need not wait for torch
            return -10 * np.log10(np.maximum(means[0], least))
        return -10 * means[0].clamp(min=least).log10()


PSNR = MeanOfFrames(
    name="psnr",
    formula=f"10·log10(R² / mean (ŷ−y)²) after clip, at most {CAP:g} dB; mean of frames",
    unit="dB",
    reference="Huynh-Thu & Ghanbari 2008",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("clipped",),
    clips=True,
    beside=("psnr_pooled",),
    value=lambda frames: (10 * (frames.peak**2 * frames.pixels / frames.shared["clipped"]).log10()).clamp(max=CAP),
)
PSNR_POOLED = PooledPsnr(
    name="psnr_pooled",
    formula=f"10·log10(R² / mean (ŷ−y)² over C, H, W and frames) after clip, at most {CAP:g} dB",
    unit="dB",
    reference="Huynh-Thu & Ghanbari 2008",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("clipped",),
    clips=True,
    parts=("squared_share",),
)
SNR = MeanOfFrames(
    name="snr",
    formula=f"10·log10(Σy² / Σ(ŷ−y)²) after clip, within ±{CAP:g} dB, {CAP:g} where equal; mean of frames",
    unit="dB",
    reference="Tan et al. 2023 (OpenSTL)",
    lower_is_better=False,
    needs=frozenset({"data_range"}),
    shared=("signal", "clipped"),
    clips=True,
    value=_snr,
)
