"""What the checks look at: a method at given shapes and settings, and clips made for it. Axes: B, T, C, H, W."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.nn import METHODS, Method, Progress, check_presets, split_name, variant_settings
from stbench.schema import Benchmark, ClipShape, DatasetSpec, Evaluation, Protocol, Training
from stbench.train.schedules import Constant
from stbench.train.seeding import step_generator

FRAME = {"channels": 2, "height": 16, "width": 32}
SHAPES = (
    ClipShape(t_in=4, t_out=4, **FRAME),
    ClipShape(t_in=4, t_out=7, **FRAME),
    ClipShape(t_in=4, t_out=1, **FRAME),
)
"""The first is what every check runs on; the others are tried for their lengths."""

TOTAL_STEPS, TOTAL_EPOCHS = 1_000_000, 10_000
WAKE_STD = 0.05
MINUTES_PER_HOUR, MINUTES_PER_DAY = 60, 1440


@dataclass(frozen=True)
class Subject:
    """A method class, the shapes and the hyperparameters it is checked with."""

    name: str
    method_class: type[Method]
    shapes: tuple[ClipShape, ...] = SHAPES
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        method: str | type[Method],
        shapes: Sequence[ClipShape] = SHAPES,
        settings: Mapping[str, Any] | None = None,
    ) -> Subject:
        """A subject from a registered name (variants included) or a class; ``settings`` win over its ``small`` ones.

        Raises:
            UserError: the name, a variant, a hyperparameter or a key of a preset is unknown, or there is no shape.
        """
        if not shapes:
            raise UserError("No shape to check with. Give at least one ClipShape.")
        if isinstance(method, str):
            plugin, variant = METHODS.get(split_name(method)[0]), variant_settings(method)
            name = method
        else:
            plugin, variant, name = method, {}, method.__name__
        values = {**plugin.small, **variant, **(settings or {})}
        plugin.Config.parse(values, f"method {name!r}")
        check_presets(plugin, name)
        return cls(name, plugin, tuple(shapes), values)

    @property
    def shape(self) -> ClipShape:
        """The shape of every check that does not vary it."""
        return self.shapes[0]

    def skip(self, shape: ClipShape) -> str | None:
        """The method's declared reason not to run at a shape."""
        return self.method_class.skip(benchmark_of(shape))

    def build(self, seed: int = 0, shape: ClipShape | None = None, *, fit: bool = True) -> Method:
        """The method with weights drawn from ``seed``; without parameters to train, fitted to some clips.

        Parameters that start at zero get small random values: a zero would hide what lies behind it.
        """
        shape = shape or self.shape
        torch.manual_seed(seed)
        fitting = self.method_class.adapt(benchmark_of(shape))
        method = self.method_class.create(shape, {**fitting, **self.settings}, self.name)
        with torch.no_grad():
            for parameter in method.parameters():
                if not parameter.any():
                    parameter.normal_(std=WAKE_STD)
        if fit and not method.trainable:
            method.fit_at([(waves(shape, 4, seed=99), hourly(shape, 4))])
        return method

    def clip(self, batch: int, seed: int = 1) -> tuple[Tensor, Tensor]:
        """Past (B, T_in, C, H, W) and future (B, T_out, C, H, W) of moving waves."""
        clip = waves(self.shape, batch, seed)
        return clip[:, : self.shape.t_in], clip[:, self.shape.t_in :]


def waves(shape: ClipShape, batch: int, seed: int) -> Tensor:
    """Clips (B, T_in+T_out, C, H, W) in [0.1, 0.9]: plane waves, each sample and channel with its own direction."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, shape.channels, 1, 1, generator=generator)

    time = torch.arange(shape.length)[:, None, None, None]
    rows = torch.arange(shape.height)[:, None] / shape.height
    columns = torch.arange(shape.width) / shape.width
    space = uniform(-2.0, 2.0) * rows + uniform(-2.0, 2.0) * columns
    angle = 2 * math.pi * (space + uniform(0.0, 1.0)) + uniform(0.2, 0.8) * time
    return 0.5 + 0.4 * torch.sin(angle)


def hourly(shape: ClipShape, batch: int, first_day: int = 0) -> Tensor:
    """Times (B, T_in+T_out) of hourly frames, int64 minutes since 1970; each sample starts a day and an hour later."""
    start = MINUTES_PER_DAY * first_day + (MINUTES_PER_DAY + MINUTES_PER_HOUR) * torch.arange(batch)
    return start[:, None] + MINUTES_PER_HOUR * torch.arange(shape.length)


def progress(*, late: bool, seed: int = 0, rank: int = 0) -> Progress:
    """A moment at the beginning or the end of training; seeds torch as the training loop does before a step."""
    return Progress(
        step=TOTAL_STEPS - 1 if late else 0,
        epoch=TOTAL_EPOCHS - 1 if late else 0,
        total_steps=TOTAL_STEPS,
        total_epochs=TOTAL_EPOCHS,
        generator=step_generator(seed, 0, rank),
    )


def predict(method: Method, past: Tensor) -> Tensor:
    """Prediction in eval mode."""
    method.eval()
    with torch.no_grad():
        return method(past)  # type: ignore[no-any-return]


def gap(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; infinite where the shapes differ, 0 where both are not a number."""
    if a.shape != b.shape:
        return math.inf
    return float((a.nan_to_num() - b.nan_to_num()).abs().max()) if a.numel() else 0.0


def benchmark_of(shape: ClipShape) -> Benchmark:
    """A benchmark record at a shape, for a method that declares what it skips or adapts to."""
    training = Training(epochs=1, batch_size=2, lr=1e-3, schedule=Constant())
    protocol = Protocol(description="synthetic", training=training, evaluation=Evaluation(metrics=("mse_frame",)))
    return Benchmark(
        name="conformance",
        version=1,
        title="Plane waves",
        shape=shape,
        dataset=DatasetSpec(reader="none"),
        units="none",
        protocols={"paper": protocol},
    )
