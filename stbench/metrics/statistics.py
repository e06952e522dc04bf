"""What metrics of a pair of frames are made of: a few numbers per frame, each computed once and shared.

Axes: F frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stbench.metrics.ssim import Array, WindowSums, check_window

CHUNK_CPU = 1 << 15
"""Values per chunk: large enough for cheap calls, small enough for a core's cache."""
CHUNK_DEVICE = 1 << 22
"""Values per chunk on an accelerator: enough to fill it, below 1 GiB of intermediate maps."""


@dataclass(frozen=True)
class Statistics:
    """Numbers of F frames; see :class:`_Job` for their names."""

    values: dict[str, Tensor]
    pixels: int
    peak: float

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]


@dataclass(frozen=True)
class Formula:
    """A metric of one frame: the statistics it needs, and its value from them."""

    needs: tuple[str, ...]
    value: Callable[[Statistics], Tensor]


FORMULAS = {
    "mse_frame": Formula(("squared",), lambda of: of["squared"]),
    "mae_frame": Formula(("absolute",), lambda of: of["absolute"]),
    "rmse_frame": Formula(("squared",), lambda of: of["squared"].sqrt()),
    "mse_pixel": Formula(("squared",), lambda of: of["squared"] / of.pixels),
    "mae_pixel": Formula(("absolute",), lambda of: of["absolute"] / of.pixels),
    "rmse_pixel": Formula(("squared",), lambda of: (of["squared"] / of.pixels).sqrt()),
    "psnr": Formula(("clipped",), lambda of: 10 * torch.log10(of.peak**2 * of.pixels / of["clipped"])),
    "snr": Formula(("signal", "clipped"), lambda of: 10 * torch.log10(of["signal"] / of["clipped"])),
    "ssim": Formula(("ssim",), lambda of: of["ssim"]),
    "ssim_legacy": Formula(("ssim_legacy",), lambda of: of["ssim_legacy"]),
}
_CLIPPED = {"clipped", "signal", "ssim", "ssim_legacy"}
_WINDOWED = {"ssim", "ssim_legacy"}


def formula_values(
    names: Collection[str], pred_FCHW: Tensor, true_FCHW: Tensor, data_range: float | None
) -> dict[str, Tensor]:
    """Value of each named formula on each frame, (F,) float64, on the frames' device.

    Raises:
        UserError: frames too small for SSIM.
    """
    needs = {statistic for name in names for statistic in FORMULAS[name].needs}
    if needs & _WINDOWED:
        check_window(*pred_FCHW.shape[-2:])
    if not needs:
        return {}
    job = _Job(frozenset(needs), data_range or float("nan"))
    parts = job.on_cpu(pred_FCHW, true_FCHW) if pred_FCHW.is_cpu else job.on_device(pred_FCHW, true_FCHW)
    statistics = Statistics(parts, pred_FCHW[0].numel(), job.peak)
    return {name: FORMULAS[name].value(statistics) for name in names}


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
        """All frames, one run of them per thread; the loops are numpy's, which release the interpreter."""
        pred_np, true_np = _as_numpy(pred), _as_numpy(true)
        size = max(1, CHUNK_CPU // pred[0].numel())
        threads = max(1, min(torch.get_num_threads(), len(pred) // size))
        runs = [slice(len(pred) * i // threads, len(pred) * (i + 1) // threads) for i in range(threads)]

        def work(run: slice) -> list[dict[str, Array]]:
            with np.errstate(all="ignore"):  # NaN and infinite frames score NaN; columns without window hold anything
                return self._chunks(pred_np[run], true_np[run], size)

        if threads == 1:
            parts = work(runs[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = [part for run in pool.map(work, runs) for part in run]
        return {need: torch.from_numpy(np.concatenate([part[need] for part in parts])) for need in self.needs}

    def _chunks(self, pred: Array, true: Array, size: int) -> list[dict[str, Array]]:
        planes = pred[:size].reshape(-1, *pred.shape[-2:])
        workspace = WindowSums.workspace(planes) if self.needs & _WINDOWED else None
        starts = range(0, len(pred), size)
        return [self._statistics(pred[i : i + size], true[i : i + size], workspace) for i in starts]

    def _statistics(self, pred: Array, true: Array, workspace: Array) -> dict[str, Array]:
        found: dict[str, Array] = {}
        pred, true = _double(pred), _double(true)
        if self.needs & {"squared", "absolute"}:
            error = pred - true
            found |= {"squared": _frame_sum(error * error), "absolute": _frame_sum(abs(error))}
        if self.needs & _CLIPPED:
            pred, true = pred.clip(0, self.peak), true.clip(0, self.peak)
        if "signal" in self.needs:
            found["signal"] = _frame_sum(true * true)
        if workspace is not None:
            found |= self._windowed(pred, true, workspace)
        elif "clipped" in self.needs:
            error = pred - true
            found["clipped"] = _frame_sum(error * error)
        return found

    def _windowed(self, pred: Array, true: Array, workspace: Array) -> dict[str, Array]:
        """Similarity averaged over channels, and the squared error that falls out on the way."""
        frame = pred.shape[-2:]
        sums = WindowSums(pred.reshape(-1, *frame), true.reshape(-1, *frame), workspace)
        found = {"clipped": sums.squared_difference.reshape(len(pred), -1).sum(1)}
        for name, peak in (("ssim", self.peak), ("ssim_legacy", 2 * self.peak)):
            if name in self.needs:
                found[name] = sums.ssim(peak).reshape(len(pred), -1).mean(1)
        return found


def _as_numpy(x: Tensor) -> Array:
    known = x.dtype in (torch.float32, torch.float64)
    return (x if known else x.double()).detach().numpy()


def _double(x: Array) -> Array:
    return x.double() if isinstance(x, Tensor) else x.astype(np.float64, copy=False)


def _frame_sum(x_FCHW: Array) -> Array:
    return x_FCHW.reshape(len(x_FCHW), -1).sum(1)
