"""Overheads of metrics, checkpoints and start-up."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from stbench.efficiency.records import Spread
from stbench.efficiency.running import Runner
from stbench.efficiency.sampling import DeviceClock, interleave
from stbench.efficiency.subject import build, random_clip
from stbench.metrics import (
    METRICS,
    MetricAccumulator,
    area_weights,
    expand,
    frame_statistics,
    get_metric,
    latitude_weights,
)
from stbench.schema import Evaluation, Parameters, RunSpec, Scaling
from stbench.schema.folder import RunFolder
from stbench.train.checkpoint import TrainState, save_last
from stbench.train.engine import Engine

from .record import Ratio

EPOCH_CLIPS = {"taxibj": 18_415, "mmnist": 10_000}
"""Training clips of an epoch under the paper protocol: 90 % of TaxiBJ's 20461 windows; Moving MNIST's 10000."""
EVALUATION_TARGET, CHECKPOINT_TARGET, START_UP_TARGET = 0.03, 0.02, 1.0
START_UPS = 5


def evaluation(spec: RunSpec, batch: int, budget: float) -> Ratio:
    """Return the time of all metrics but LPIPS on a batch, relative to a prediction; event scores at two thresholds."""
    settings = Evaluation(
        metrics=tuple(name for name in METRICS.names() if not name.startswith(("lpips", "fd_", "fvd"))),
        thresholds=(0.25, 0.5),
        flow_threshold=0.1,
    )
    names = [name for name in expand(settings, spec.shape) if get_metric(name).unavailable(spec.shape.frame) is None]
    runner = Runner(spec, Engine("cpu", "32"))
    future = random_clip(spec.shape, batch)[:, spec.shape.t_in :]
    guess = future.flip(0).contiguous()
    totals = MetricAccumulator(names, spec.shape.t_out, 1.0)

    degrees = torch.linspace(-80.0, 80.0, spec.shape.height)
    weights = {"row_weights": latitude_weights(degrees), "row_areas": area_weights(degrees)}
    normal = future.mean(0, keepdim=True).expand(future.shape)

    def score() -> None:
        found = frame_statistics(names, guess, future, data_range=1.0, scaling=Scaling(), normals=normal, **weights)
        totals.update(found)

    works = {"score": score, "predict": runner.work("inference", batch)}
    times = interleave(works, DeviceClock(torch.device("cpu")), budget)
    score_time, predict_time = times["score"], times["predict"]
    assert isinstance(score_time, Spread)
    assert isinstance(predict_time, Spread)
    return Ratio(score_time.p50 / predict_time.p50, EVALUATION_TARGET, lower=True, detail={"metrics": names})


def checkpoint(spec: RunSpec, batch: int, step_seconds: float, budget: float) -> Ratio:
    """Return the time of saving weights and moments once, relative to the training steps of an epoch."""
    engine = Engine("cpu", "32")
    assert spec.training is not None, "the method is trained"
    method = engine.place(build(spec))
    optimizer = spec.training.optimizer.build(Parameters(method), spec.training.lr)
    for parameter in method.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path))
        folder.checkpoints.mkdir()
        save = {"save": lambda: save_last(folder, TrainState(), method, optimizer)}
        taken = interleave(save, DeviceClock(torch.device("cpu")), budget)["save"]
        assert isinstance(taken, Spread)
        size = sum(file.stat().st_size for file in folder.checkpoints.iterdir())
    epoch = step_seconds * EPOCH_CLIPS[spec.benchmark] / batch
    detail = {"seconds": taken.p50, "bytes": size}
    return Ratio(taken.p50 / epoch, CHECKPOINT_TARGET, lower=True, detail=detail)


def start_up() -> Ratio:
    """Return the median seconds of ``stbench list``; the only number that is not a ratio."""
    command = [sys.executable, "-m", "stbench", "list"]
    seconds = []
    for _ in range(START_UPS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    median = sorted(seconds)[START_UPS // 2]
    return Ratio(median, START_UP_TARGET, lower=True, detail={"seconds": seconds})
