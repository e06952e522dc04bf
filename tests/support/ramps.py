"""A benchmark of synthetic ramps in physical units, for tests that need a finished run: seconds, no files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from stbench.data import BENCHMARKS, DATASETS, DatasetContext, Indices, Reader, ReaderOptions, Split, Splits
from stbench.schema import Scaling
from stbench.sweep.execute import Workplace
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.sweep import sweep
from stbench.train.engine import Engine

PROTOCOL = """
name: ramps
version: 1
title: Ramps
shape: {t_in: 3, t_out: 2, channels: 2, height: 8, width: 16}
units: K
dataset: {reader: ramps}
protocols:
  paper:
    description: one epoch
    training: {epochs: 1, batch_size: 4, lr: 1.0e-3, schedule: {kind: constant}}
    evaluation: {metrics: [mse_frame, psnr], batch_size: 4}
    methods:
      tau: {config: {hid_s: 4, hid_t: 8, n_t: 2, mlp_ratio: 2.0}}
      simvp: {config: {hid_s: 8, hid_t: 16, n_t: 2}}
      convlstm: {config: {hidden: [4], kernel: 3, patch: 2}}
      phydnet: {config: {hid_s: 32, patch: 2}}
"""


class RampSplit(Split):
    def __init__(self, context: DatasetContext, clips: int) -> None:
        self._shape = context.shape
        self._clips = clips

    def __len__(self) -> int:
        return self._clips

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        shape = self._shape
        ramp = np.linspace(0, 0.5, shape.width) + np.zeros((shape.height, 1))
        time = np.arange(shape.length)[:, None, None, None] * 0.05
        frames = [ramp + time + 0.1 * np.sin(index) * np.ones((1, shape.channels, 1, 1)) for index in indices]
        return torch.from_numpy(np.stack(frames)).float()


class Ramps(Reader):
    """[0, 1] stands for 250 to 300 in the first channel and for -2 to 2 in the second."""

    @classmethod
    def open(cls, options: ReaderOptions, context: DatasetContext) -> Splits:
        return Splits(
            train=RampSplit(context, 16),
            val=RampSplit(context, 4),
            test=RampSplit(context, 6),
            report="made up",
            fingerprint="ramps",
            scaling=Scaling(offset=(250.0, -2.0), scale=(50.0, 4.0)),
        )


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Make the benchmark known in this process while the block runs; ``folder`` holds its protocol file."""
    (folder / "protocol.yaml").write_text(PROTOCOL)
    known = (BENCHMARKS, {"ramps": folder}), (DATASETS, {"ramps": Ramps})
    with ExitStack() as stack:
        for registry, plugin in known:
            stack.enter_context(patch.dict(registry._loaded, plugin))
        yield


def finished_runs(folder: Path, methods: list[str]) -> dict[str, Path]:
    """Train the methods for an epoch; their run folders by name."""
    plan = make_plan(Request(methods=methods, benchmark="ramps"))
    workplace = Workplace(folder / "runs", (), Engine("cpu"))
    sweep(plan.specs, workplace)
    return {spec.method: workplace.folder(spec).path for spec in plan.specs}
