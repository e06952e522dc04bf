"""What metrics of a pair of frames are made of: a few numbers per frame, each computed once and shared.

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
"""Values per chunk: large enough for cheap calls, small enough for a core's cache."""
CHUNK_DEVICE = 1 << 22
"""Values per chunk on an accelerator: enough to fill it, below 1 GiB of intermediate maps."""


_CLIPPED = {"clipped", "signal", "ssim", "ssim_legacy"}
_WINDOWED = {"ssim", "ssim_legacy"}


def shared_statistics(
    names: Collection[str], pred_FCHW: Tensor, true_FCHW: Tensor, data_range: float | None
) -> dict[str, Tensor]:
    """Each named statistic (see :class:`_Job`) of each frame, (F,) float64, on the frames' device.

    Raises:
        UserError: frames too small for SSIM.
    """
    if not names:
        return {}
    if _WINDOWED & set(names):
        check_window(*pred_FCHW.shape[-2:])
    job = _Job(frozenset(names), data_range or float("nan"))
    return job.on_cpu(pred_FCHW, true_FCHW) if pred_FCHW.is_cpu else job.on_device(pred_FCHW, true_FCHW)


@dataclass(frozen=True)
class _Job:
    """The statistics wanted of each frame.

    ``squared`` and ``absolute`` are Σ(ŷ−y)² and Σ|ŷ−y|; of frames clipped to [0, peak], ``clipped`` is Σ(ŷ−y)²,
    ``signal`` Σy², and ``ssim`` and ``ssim_legacy`` the mean structural similarity at peak and twice the peak.
    """

    needs: frozenset[str]
    peak: float

    def on_device(self, pred: Tensor, true: Tensor) -> dict[str, Tensor]:
        """All frames, on their device."""
        parts = self._chunks(pred, true, max(1, CHUNK_DEVICE // pred[0].numel()))
        return {need: torch.cat([part[need] for part in parts]) for need in self.needs}

    def on_cpu(self, pred: Tensor, true: Tensor) -> dict[str, Tensor]:
        """All frames, by numpy on one thread: its calls are cheap, and a busy second core cannot hold them up."""
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
        pred[:], true[:] = (_planes(x).swapaxes(0, 1) for x in (pred_FCHW, true_FCHW))
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
        if self.needs & _WINDOWED:
            sums = WindowSums(pred, true, workspace)
            found["clipped"] = sums.squared_difference
            found |= {name: sums.ssim(peak) for name, peak in self._peaks() if name in self.needs}
        elif "clipped" in self.needs:
            xp.subtract(pred, true, out=error)
            found["clipped"] = _plane_sums(xp.multiply(error, error, out=scratch))
        return {name: self._over_channels(name, values, pred_FCHW.shape[1]) for name, values in found.items()}

    def _peaks(self) -> tuple[tuple[str, float], ...]:
        return ("ssim", self.peak), ("ssim_legacy", 2 * self.peak)

    def _over_channels(self, name: str, values: Array, channels: int) -> Array:
        by_frame = values.reshape(-1, channels)
        return by_frame.mean(1) if name in _WINDOWED else by_frame.sum(1)


def _workspace(like_FCHW: Array) -> Array:
    """Scratch memory for twelve float64 maps of such frames, on their device."""
    size = 12 * math.prod(like_FCHW.shape)
    is_tensor = isinstance(like_FCHW, Tensor)
    return like_FCHW.new_empty(size, dtype=torch.float64) if is_tensor else np.empty(size)


def _planes(x_FCHW: Array) -> Array:
    """(F, C, H, W) -> (P, H, W), P = F·C."""
    return x_FCHW.reshape(-1, *x_FCHW.shape[-2:])


def _rows(part: Array, like_FCHW: Array) -> Array:
    """Memory seen as the rows of all planes together, (H, P, W)."""
    frames, channels, height, width = like_FCHW.shape
    return part.reshape(height, frames * channels, width)


def _as_numpy(x: Tensor) -> Array:
    known = x.dtype in (torch.float32, torch.float64)
    return (x if known else x.double()).detach().numpy()


def _plane_sums(x_HPW: Array) -> Array:
    """Sum of each plane, (P,)."""
    return x_HPW.sum(0).sum(1)
