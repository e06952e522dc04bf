"""Frames of many kinds, and what the tests compare with, written as plain loops."""

import numpy as np
import torch
from torch import Tensor

KINDS = ["random", "structured", "smooth", "low_variance", "constant", "equal", "black", "overshoot"]


def frames(kind: str, shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """(predicted, true), float64, of the given (B, T, C, H, W)."""
    rng = np.random.default_rng(seed)
    pred, true = rng.random(shape), rng.random(shape)
    if kind == "structured":  # bright squares on black
        true = np.zeros(shape)
        true[..., 2 : shape[-2] // 2 + 2, 1 : shape[-1] // 2 + 1] = 1.0
        pred = np.roll(true, 1, axis=-1) * rng.random(shape[:2])[..., None, None, None]
    elif kind == "smooth":
        ramp = np.linspace(0, 1, shape[-1]) * np.linspace(0.2, 1, shape[-2])[:, None]
        true, pred = np.broadcast_to(ramp, shape).copy(), np.broadcast_to(ramp**2, shape).copy()
    elif kind == "low_variance":
        pred, true = 0.7 + 1e-4 * pred, 0.71 + 1e-4 * true
    elif kind == "constant":
        pred, true = np.full(shape, 0.9), np.full(shape, 0.3)
    elif kind == "equal":
        pred = true.copy()
    elif kind == "black":
        pred, true = np.zeros(shape), np.zeros(shape)
    elif kind == "overshoot":
        pred = 2 * pred - 0.5
    return torch.from_numpy(pred), torch.from_numpy(true)


def skimage_ssim(pred: Tensor, true: Tensor, data_range: float, clip: float) -> Tensor:
    """scikit-image in float64 on clipped frames, frame by frame, (B, T)."""
    from skimage.metrics import structural_similarity

    return per_frame(
        lambda p, t: structural_similarity(
            t.clip(0, clip).astype(np.float64),
            p.clip(0, clip).astype(np.float64),
            data_range=data_range,
            channel_axis=0,
        ),
        pred,
        true,
    )


def per_frame(score, pred: Tensor, true: Tensor) -> Tensor:
    """A function of two (C, H, W) arrays on every frame, (B, T) float64."""
    with np.errstate(all="ignore"):
        rows = [
            [float(score(p, t)) for p, t in zip(ps, ts, strict=True)]
            for ps, ts in zip(pred.numpy(), true.numpy(), strict=True)
        ]
    return torch.tensor(rows, dtype=torch.float64)
