"""Independent check: scores a sample of frames again with scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stbench.metrics.clipped import CAP
from stbench.metrics.frames import frame_values

Frame = npt.NDArray[np.float64]

_CHECKED = ("ssim", "psnr", "mse_pixel")


def check_against_skimage(
    pred_BTCHW: Tensor, true_BTCHW: Tensor, *, data_range: float, sample: int, seed: int
) -> float:
    """Return the largest absolute difference of SSIM, PSNR and pixel MSE to scikit-image over a sample of frames.

    Args:
        pred_BTCHW: predicted frames.
        true_BTCHW: true frames.
        data_range: peak R of the data.
        sample: number of frames drawn without replacement, or all if there are fewer.
        seed: seed of the sample.

    Returns:
        The largest difference; NaN if only one of the two returns a number. SSIM is left out for frames below 7×7,
        which neither scores.
    """
    frames = pred_BTCHW.shape[0] * pred_BTCHW.shape[1]
    chosen = np.random.default_rng(seed).choice(frames, min(sample, frames), replace=False)
    pred, true = (x.flatten(0, 1)[chosen.tolist()] for x in (pred_BTCHW, true_BTCHW))
    names = _CHECKED if min(pred.shape[-2:]) >= 7 else _CHECKED[1:]
    ours = frame_values(names, pred[None], true[None], data_range=data_range)
    differences = [0.0]
    for index, (p, t) in enumerate(zip(pred.double().cpu().numpy(), true.double().cpu().numpy(), strict=True)):
        theirs = _skimage_values(names, p, t, data_range)
        differences += [_difference(float(ours[name][0, index]), theirs[name]) for name in names]
    return float(np.max(differences))


def _skimage_values(names: tuple[str, ...], pred_CHW: Frame, true_CHW: Frame, data_range: float) -> dict[str, float]:
    from skimage import metrics

    pred, true = pred_CHW.clip(0, data_range), true_CHW.clip(0, data_range)
    score: dict[str, Callable[[], float]] = {
        "mse_pixel": lambda: metrics.mean_squared_error(true_CHW, pred_CHW),
        "psnr": lambda: metrics.peak_signal_noise_ratio(true, pred, data_range=data_range),  # type: ignore[no-untyped-call]
        "ssim": lambda: metrics.structural_similarity(true, pred, data_range=data_range, channel_axis=0),  # type: ignore[no-untyped-call]
    }
    with np.errstate(divide="ignore"):  # equal frames: an infinite PSNR, which our cap bounds
        values = {name: float(score[name]()) for name in names}
    return {name: min(value, CAP) if name == "psnr" else value for name, value in values.items()}


def _difference(ours: float, theirs: float) -> float:
    """Return |ours − theirs|; 0 if both are the same infinity or both NaN."""
    if ours == theirs or (np.isnan(ours) and np.isnan(theirs)):
        return 0.0
    return abs(ours - theirs)
