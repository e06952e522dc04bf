"""Statistics of pairs of frames, computed once and shared by metrics.

Axes: F frames, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stbench.metrics.window_sums import Array, WindowSums, check_window

CHUNK_CPU = 1 << 16
"""Values per chunk on a CPU: few calls, but within a core's cache."""
CHUNK_DEVICE = 1 << 22
"""Values per chunk on an accelerator: enough to fill it, with less than 1 GiB of intermediate maps."""


_CLIPPED = {"clipped", "signal", "ssim", "ssim_legacy"}
WINDOWED = {"ssim", "ssim_legacy"}
"""Statistics of windows, which need every cell of a frame."""


def shared_statistics(
    names: Collection[str], pred_FCHW: Tensor, true_FCHW: Tensor, data_range: float | None
) -> dict[str, Tensor]:
    """Compute named statistics (see :class:`_Job`) of each frame, (F,) float64, on the frames' device.

    Raises:
        UserError: frames are too small for SSIM.
    """
    if not names:
        return {}
    if WINDOWED & set(names):
        check_window(*pred_FCHW.shape[-2:])
    job = _Job(frozenset(names), data_range or float("nan"))
    return job.on_cpu(pred_FCHW, true_FCHW) if pred_FCHW.is_cpu else job.on_device(pred_FCHW, true_FCHW)


@dataclass(frozen=True)
class _Job:
    """The statistics to compute.

    ``squared`` and ``absolute`` are Σ(ŷ−y)² and Σ|ŷ−y|. For frames clipped to [0, peak], ``clipped`` is Σ(ŷ−y)²,
    ``signal`` is Σy², and ``ssim`` and ``ssim_legacy`` are the mean structural similarity at peak and twice the peak.
    """

    needs: frozenset[str]
    peak: float

    def on_device(self, pred: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Compute all frames on their device."""
        parts = self._chunks(pred, true, max(1, CHUNK_DEVICE // pred[0].numel()))
        return {need: torch.cat([part[need] for part in parts]) for need in self.needs}

    def on_cpu(self, pred: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Compute all frames with numpy on one thread, whose calls are cheap and do not wait for a busy core."""
        size = max(1, CHUNK_CPU // pred[0].numel())
        with np.errstate(all="ignore"):  # NaN and infinite frames score NaN; columns without window hold anything
            parts = self._chunks(_as_numpy(pred), _as_numpy(true), size)
        return {need: torch.from_numpy(np.concatenate([part[need] for part in parts])) for need in self.needs}

    def _chunks(self, pred: Array, true: Array, size: int) -> list[dict[str, Array]]:
        memory = _workspace(pred[:size])
        starts = range(0, len(pred), size)
        return [self._statistics(pred[i : i + size], true[i : i + size], memory) for i in starts]

    def _statistics(self, pred_FCHW: Array, true_FCHW: Array, memory: Array) -> dict[str, Array]:
        xp: Any = torch if isinstance(pred_FCHW, Tensor) else np
        workspace = memory[: 12 * math.prod(pred_FCHW.shape)].reshape(3, 4, -1)
        pred, true, error, scratch = (_rows(part, pred_FCHW) for part in workspace[2])
        pred[:], true[:] = (x.reshape(-1, *x.shape[-2:]).swapaxes(0, 1) for x in (pred_FCHW, true_FCHW))
        found: dict[str, Array] = {}
        if self.needs & {"squared", "absolute"}:
            xp.subtract(pred, true, out=error)
            found["squared"] = _plane_sums(xp.multiply(error, error, out=scratch))
            found["absolute"] = _plane_sums(xp.absolute(error, out=scratch))
        if self.needs & _CLIPPED:
            xp.clip(pred, 0, self.peak, out=pred)
            xp.clip(true, 0, self.peak, out=true)
        if "signal" in self.needs:
            found["signal"] = _plane_sums(xp.multiply(true, true, out=scratch))
        if self.needs & WINDOWED:
            sums = WindowSums(pred, true, workspace)
            found["clipped"] = sums.squared_difference
            peaks = {"ssim": self.peak, "ssim_legacy": 2 * self.peak}
            found |= {name: sums.ssim(peak) for name, peak in peaks.items() if name in self.needs}
        elif "clipped" in self.needs:
            xp.subtract(pred, true, out=error)
            found["clipped"] = _plane_sums(xp.multiply(error, error, out=scratch))
        return {name: self._over_channels(name, values, pred_FCHW.shape[1]) for name, values in found.items()}

    def _over_channels(self, name: str, values: Array, channels: int) -> Array:
        by_frame = values.reshape(-1, channels)
        return by_frame.mean(1) if name in WINDOWED else by_frame.sum(1)


def _workspace(like_FCHW: Array) -> Array:
    """Allocate twelve float64 maps of such frames, on their device."""
    size = 12 * math.prod(like_FCHW.shape)
    is_tensor = isinstance(like_FCHW, Tensor)
    return like_FCHW.new_empty(size, dtype=torch.float64) if is_tensor else np.empty(size)


def _rows(part: Array, like_FCHW: Array) -> Array:
    """View memory as the rows of all planes, (H, P, W)."""
    frames, channels, height, width = like_FCHW.shape
    return part.reshape(height, frames * channels, width)


def _as_numpy(x: Tensor) -> Array:
    known = x.dtype in (torch.float32, torch.float64)
    return (x if known else x.double()).detach().numpy()


def _plane_sums(x_HPW: Array) -> Array:
    """Return the sum of each plane, (P,)."""
    return x_HPW.sum(0).sum(1)
