"""Subject of the checks: a method with shapes and settings, and synthetic clips. Axes: B, T, C, H, W."""

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
"""Every check runs on the first shape; the others test other lengths."""

TOTAL_STEPS, TOTAL_EPOCHS = 1_000_000, 10_000
WAKE_STD = 0.05
SECONDS_PER_HOUR, SECONDS_PER_DAY = 3600, 86400


@dataclass(frozen=True)
class Subject:
    """A method class with the shapes and hyperparameters to check."""

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
        """Build a subject from a registered name (with variants) or a class; ``settings`` override ``small``.

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
        """Shape of all checks that do not vary it."""
        return self.shapes[0]

    def skip(self, shape: ClipShape) -> str | None:
        """Return the method's declared reason not to run at a shape, or None."""
        return self.method_class.skip(benchmark_of(shape))

    def build(self, seed: int = 0, shape: ClipShape | None = None, *, fit: bool = True) -> Method:
        """Build the method with weights drawn from ``seed``, or fitted to clips if it has no parameters to train.

        Parameters initialised to zero get small random values, since a zero would mask the layers behind it.
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
        """Return past (B, T_in, C, H, W) and future (B, T_out, C, H, W) of moving waves."""
        clip = waves(self.shape, batch, seed)
        return clip[:, : self.shape.t_in], clip[:, self.shape.t_in :]


def waves(shape: ClipShape, batch: int, seed: int) -> Tensor:
    """Return clips (B, T_in+T_out, C, H, W) in [0.1, 0.9]: plane waves, with a direction per sample and channel."""
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
    """Return hourly times (B, T_in+T_out), int64 seconds since 1970; each sample starts a day and an hour later."""
    start = SECONDS_PER_DAY * first_day + (SECONDS_PER_DAY + SECONDS_PER_HOUR) * torch.arange(batch)
    return start[:, None] + SECONDS_PER_HOUR * torch.arange(shape.length)


def progress(*, late: bool, seed: int = 0, rank: int = 0, world_size: int = 1) -> Progress:
    """Return a moment early or late in training; seeds torch as the training loop does before a step."""
    return Progress(
        step=TOTAL_STEPS - 1 if late else 0,
        epoch=TOTAL_EPOCHS - 1 if late else 0,
        total_steps=TOTAL_STEPS,
        total_epochs=TOTAL_EPOCHS,
        generator=step_generator(seed, 0),
        rank=rank,
        world_size=world_size,
    )


def predict(method: Method, past: Tensor) -> Tensor:
    """Predict in evaluation mode."""
    method.eval()
    with torch.no_grad():
        return method(past)  # type: ignore[no-any-return]


def gap(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference; infinite if the shapes differ, 0 where both are NaN."""
    if a.shape != b.shape:
        return math.inf
    return float((a.nan_to_num() - b.nan_to_num()).abs().max()) if a.numel() else 0.0


def benchmark_of(shape: ClipShape) -> Benchmark:
    """Return a benchmark record of a shape, for ``skip`` and ``adapt`` of methods."""
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
