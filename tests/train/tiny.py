"""A tiny training setup: a three-weight method on a synthetic split, on one CPU."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stbench.data import ClipLoader, Indices, Split
from stbench.nn import Method, MethodConfig, Progress
from stbench.schema import ClipShape, Training
from stbench.schema.folder import RunFolder
from stbench.train.checkpoint import Origin
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest
from stbench.train.loop import Trainer
from stbench.train.schedules import Constant

SHAPE = ClipShape(t_in=2, t_out=2, channels=1, height=4, width=4)


class Blend(Method):
    """A conv over the past with dropout and a random loss weight: every kind of randomness a method can have."""

    Config = MethodConfig
    jitter = 1.0

    def __init__(self, shape: ClipShape, config: MethodConfig) -> None:
        super().__init__(shape, config)
        self.conv = nn.Conv2d(shape.t_in, shape.t_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(shape.t_out)
        self.dropout = nn.Dropout(0.3)

    def forward(self, past: Tensor) -> Tensor:
        return self.dropout(self.norm(self.conv(past[:, :, 0])))[:, :, None]

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        mse = (self(past) - future).square().mean()
        draw = torch.rand((), generator=progress.generator)
        return {"loss": mse * (1 + self.jitter * draw), "mse": mse}


class Drift(Split):
    """Clips that are a function of (index, epoch)."""

    def __init__(self, clips: int) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return self._clips

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """A ramp in space that moves in time, different for every clip and epoch."""
        made = []
        for index in indices:
            generator = torch.Generator().manual_seed(int(index) * 1000 + epoch)
            start = torch.rand(1, 1, 4, 4, generator=generator)
            made.append(start + 0.1 * torch.arange(4)[:, None, None, None])
        return torch.stack(made)


class Recorder:
    """A listener that keeps what it hears; ``fail_at`` raises at that step."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.steps: list[float] = []
        self.epochs: list[Mapping[str, Any]] = []
        self.notes: list[str] = []
        self.fail_at = fail_at

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        self.steps.append(loss)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        self.epochs.append(record)

    def on_evaluate(self) -> None:
        """Nothing to keep."""

    def on_note(self, text: str) -> None:
        self.notes.append(text)


def tiny_training(**changes: Any) -> Training:
    """Four epochs of five steps."""
    return Training(**{"epochs": 4, "batch_size": 4, "lr": 1e-2, "schedule": Constant(), **changes})


def make_trainer(
    path: Path,
    engine: Engine,
    training: Training,
    *,
    stop: StopRequest | None = None,
    listener: Any = None,
    origin: Origin | None = None,
) -> Trainer:
    """A trainer in ``path``, made from scratch or resumed, as a new process would."""
    folder = RunFolder(path)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    method = engine.place(Blend(SHAPE, MethodConfig()))
    loaders = (
        ClipLoader(Drift(20), training.batch_size, shuffle=True, seed=3, drop_last=True),
        ClipLoader(Drift(6), 4, shuffle=False),
    )
    return Trainer(
        method,
        training,
        loaders,
        folder,
        seed=5,
        engine=engine,
        listener=listener or Recorder(),
        stop=stop or StopRequest(),
        origin=origin,
    )


class StopAfter(StopRequest):
    """Asks to stop once ``steps`` looks were taken (the loop looks after every step and epoch)."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """A copy of a trainer's weights."""
    return copy.deepcopy(trainer.method.state_dict())
