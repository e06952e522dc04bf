"""Sharpness from gradients of predicted and true frames, which need every cell. Axes: B, T, C, H, W."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.metrics.errors import MeanOfFrames
from stbench.metrics.ratios import FromSums, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames

_REFERENCE = "Mathieu et al. 2016"


def _gradients(x_BTCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return absolute forward differences down (…, H-1, W) and to the right (…, H, W-1)."""
    return x_BTCHW.diff(dim=-2).abs(), x_BTCHW.diff(dim=-1).abs()


def _both(frames: Frames) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    if "gradients" not in frames.kept:
        frames.kept["gradients"] = _gradients(frames.pred_BTCHW), _gradients(frames.true_BTCHW)
    found: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] = frames.kept["gradients"]
    return found


def _mean(x_BTCHW: Tensor) -> Tensor:
    return x_BTCHW.mean((2, 3, 4)).double()


def _gdl(frames: Frames) -> Tensor:
    (down, right), (true_down, true_right) = _both(frames)
    return _mean((true_down - down).abs()) + _mean((true_right - right).abs())


def _strength(frames: Frames) -> tuple[Tensor, ...]:
    """Return the mean gradient of the predicted and of the true frame, summed over both directions."""
    return tuple(_mean(down) + _mean(right) for down, right in _both(frames))


def _sharpness_difference(frames: Frames) -> Tensor:
    pred, true = (down[..., :-1] + right[..., :-1, :] for down, right in _both(frames))
    return 10 * (frames.peak**2 / _mean((true - pred).abs())).log10()


GDL = MeanOfFrames(
    name="gdl",
    formula="mean of ||∂y| − |∂ŷ|| over C, H, W, forward differences, both directions added (α = 1); mean of frames",
    unit="model",
    reference=_REFERENCE,
    leaves_out_missing=False,
    value=_gdl,
)
SHARPNESS_RATIO = FromSums(
    name="sharpness_ratio",
    formula="mean of |∂ŷ| / mean of |∂y|, forward differences, both directions added; means over all frames, then the "
    "ratio; below 1: blurred",
    unit="",
    best=1.0,
    reference=_REFERENCE,
    leaves_out_missing=False,
    parts=("predicted", "observed"),
    measure=_strength,
    score=ratio,
)
SHARPNESS_DIFF = MeanOfFrames(
    name="sharpness_diff",
    formula="10·log10(R² / mean of |(|∂x|+|∂y|) of y − of ŷ|), forward differences; mean of frames; inf where equal",
    unit="dB",
    lower_is_better=False,
    reference=_REFERENCE,
    leaves_out_missing=False,
    needs=frozenset({"data_range"}),
    value=_sharpness_difference,
)
