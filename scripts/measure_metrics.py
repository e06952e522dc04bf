"""Speed-up of batched metrics over loops of reference implementations.

Run from the repository root:

    python scripts/measure_metrics.py [--threads 2] [--frames 320] [--repeats 7]

Prints ratios, each the median over repeats in which the two sides alternate in one process:

* MSE, MAE, PSNR and SSIM of 64×64 frames together (one thread, whatever --threads says), against a loop of
  scikit-image's SSIM alone, and against one of all four;
* all metrics but LPIPS and the Fréchet distances together, relative to TAU's inference at TaxiBJ's shapes (target: at
  most 3 %); alone with --only-share, on small models with --tiny;
* LPIPS (AlexNet) of 64×64 grey frames, against a loop of the ``lpips`` package's module, with the same weights
  (skipped with a reason if weights are missing; ``STBENCH_LPIPS_WEIGHTS`` names them).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from skimage import metrics as skimage_metrics
from speed.overheads import EVALUATION_TARGET, evaluation
from speed.task import Task
from speed.worker import spec_of
from torch import Tensor

from stbench.metrics import frame_values, unavailable
from stbench.metrics.perceptual import Lpips
from stbench.metrics.trunks import find_trunk

NAMES = ("mse_frame", "mae_frame", "psnr", "ssim")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--frames", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--budget", type=float, default=6.0, help="seconds per timing of the share of inference")
    parser.add_argument("--only-share", action="store_true", help="only the share of inference")
    parser.add_argument("--tiny", action="store_true", help="small models: a check of the script")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report_share(options)
    if options.only_share:
        return
    pred, true = noisy_frames(options.frames)
    print(f"{options.frames} frames of 64×64, {options.threads} threads, median of {options.repeats} repeats")

    def batched() -> None:
        frame_values(NAMES, pred[None], true[None], data_range=1.0)

    report("MSE+MAE+PSNR+SSIM vs scikit-image SSIM", batched, lambda: loop_ssim(pred, true), options)
    report("MSE+MAE+PSNR+SSIM vs scikit-image, all four", batched, lambda: loop_all(pred, true), options)
    if reason := unavailable(["lpips_alex"], (1, 64, 64)).get("lpips_alex"):
        print(f"LPIPS not measured: {reason}")
        return
    few_pred, few_true = pred[:64], true[:64]
    module = Lpips("alex", find_trunk("alex")).package
    report(
        "LPIPS vs frame-by-frame lpips module",
        lambda: frame_values(["lpips_alex"], few_pred[None], few_true[None], data_range=1.0),
        lambda: loop_lpips(module, few_pred, few_true),
        options,
        frames=64,
    )


def noisy_frames(count: int) -> tuple[Tensor, Tensor]:
    """Return (F, 1, 64, 64) predicted and true frames: smooth shapes, and the same with noise beyond [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 1, 8, 8, generator=generator)
    true = torch.nn.functional.interpolate(coarse, size=64, mode="bilinear")
    return true + 0.1 * torch.randn(true.shape, generator=generator), true


def loop_ssim(pred: Tensor, true: Tensor) -> None:
    """Compute scikit-image's SSIM frame by frame."""
    for p, t in zip(pred.clamp(0, 1).numpy(), true.numpy(), strict=True):
        skimage_metrics.structural_similarity(t[0], p[0], data_range=1.0)  # type: ignore[no-untyped-call]


def loop_all(pred: Tensor, true: Tensor) -> None:
    """Compute MSE, MAE, PSNR and SSIM frame by frame, with scikit-image where possible."""
    for p, t in zip(pred.clamp(0, 1).numpy(), true.numpy(), strict=True):
        skimage_metrics.mean_squared_error(t, p)
        abs(t - p).sum()
        skimage_metrics.peak_signal_noise_ratio(t, p, data_range=1.0)  # type: ignore[no-untyped-call]
        skimage_metrics.structural_similarity(t[0], p[0], data_range=1.0)  # type: ignore[no-untyped-call]


def loop_lpips(module: torch.nn.Module, pred: Tensor, true: Tensor) -> None:
    """Run the package's module frame by frame."""
    with torch.no_grad():
        for p, t in zip(pred.clamp(0, 1), true, strict=True):
            module(p.expand(1, 3, -1, -1) * 2 - 1, t.expand(1, 3, -1, -1) * 2 - 1)


def report_share(options: argparse.Namespace) -> None:
    """Print the time of all metrics but the perceptual ones, relative to a prediction of TAU."""
    task = Task(
        benchmark="taxibj",
        protocol="quick" if options.tiny else "paper",
        method="tau",
        batch=2 if options.tiny else 16,
        side="stbench",
        threads=options.threads,
        budget=options.budget,
        repeats=options.repeats,
    )
    share = evaluation(spec_of(task), task.batch, task.budget)
    verdict = "met" if share.met else "missed"
    print(
        f"{len(share.detail['metrics'])} metrics / inference of tau, taxibj, batch {task.batch}: "
        f"{100 * share.value:.2f} % (target {100 * EVALUATION_TARGET:.0f} %: {verdict})"
    )


def report(
    title: str,
    fast: Callable[[], object],
    slow: Callable[[], object],
    options: argparse.Namespace,
    frames: int | None = None,
) -> None:
    """Time both sides in turn and print the median ratio, its range and the microseconds per frame."""
    fast_times, slow_times = [], []
    for repeat in range(options.repeats + 1):
        pair = seconds(fast), seconds(slow)
        if repeat:  # the first round is a warm-up
            fast_times.append(pair[0])
            slow_times.append(pair[1])
    ratios = [slow / fast for fast, slow in zip(fast_times, slow_times, strict=True)]
    per_frame = 1e6 / (frames or options.frames)
    print(
        f"{title}: {statistics.median(ratios):.1f}x faster ({min(ratios):.1f} to {max(ratios):.1f}); "
        f"{statistics.median(fast_times) * per_frame:.0f} against "
        f"{statistics.median(slow_times) * per_frame:.0f} µs per frame"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
