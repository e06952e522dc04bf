"""What a benchmark is and how it is run: the typed form of ``benchmarks/<name>/protocol.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from stbench.schema.base import Record
from stbench.schema.budget import Budget
from stbench.schema.optimizer import OPTIMIZERS, Optimizer
from stbench.schema.schedule import Schedule
from stbench.schema.shape import ClipShape
from stbench.settings import leaves, put

Precision = Literal["32", "bf16"]
Selection = Literal["validation", "test"]
Decay = Annotated[float, Field(gt=0, lt=1)]
Latitude = Annotated[float, Field(ge=-90, le=90)]


class Training(Record):
    """How a method is trained; one source of defaults for every protocol and method.

    ``batch_size`` is the global batch of one optimiser step; ``accumulate`` splits it into that many forward passes.
    ``train_clips`` caps the clips of one epoch (a seeded subset, drawn anew each epoch). ``patience`` stops early after
    that many epochs without a better validation MSE.

    ``activation_checkpointing`` keeps only the state between the steps of a rollout and computes each step twice, for
    horizons that would not fit; methods of one pass are as they were. ``compile`` runs passes and rollout steps through
    torch.compile, on CUDA as CUDA graphs. ``fast_conv`` lets convolutions on a CPU in float32 take an algorithm
    of fewer multiplications where that is faster; results then differ by a few rounding errors, and between machines.

    ``ema``, where given, is the decay of an exponential moving average of the weights. The averaged weights are the
    ones that are validated, selected and scored.

    ``steps``, where given, is the length of training in optimiser steps, and ``epochs`` is not used. A ``budget`` of
    time ends training with the step that exceeds it; a schedule by steps follows the share that is spent, one by
    epochs the number that fit by the first. A budget of multiply-adds or epochs is resolved into ``steps`` or
    ``epochs`` when the run is planned.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    optimizer: SerializeAsAny[Optimizer] = Field(default_factory=lambda: OPTIMIZERS.get(Optimizer.default_kind)())  # type: ignore[call-arg]
    schedule: SerializeAsAny[Schedule]
    accumulate: PositiveInt = 1
    clip_norm: PositiveFloat | None = None
    precision: Precision = "32"
    patience: PositiveInt | None = None
    train_clips: PositiveInt | None = None
    steps: PositiveInt | None = None
    budget: Budget | None = None
    activation_checkpointing: bool = False
    compile: bool = False
    fast_conv: bool = False
    ema: Decay | None = None

    @property
    def time_limit(self) -> float | None:
        """Seconds of training that end it; None where something else does."""
        return self.budget.amount if self.budget is not None and self.budget.kind == "time" else None

    @property
    def extent(self) -> str:
        """How long training is, for people."""
        if self.time_limit is not None:
            return str(self.budget)
        if self.steps is not None:
            return f"{self.steps} steps" + (f" ({self.budget})" if self.budget is not None else "")
        return f"{self.epochs} epochs"

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is optional and not asked for, so that a run without it keeps its name."""
        unset = {
            "steps": None,
            "budget": None,
            "activation_checkpointing": False,
            "compile": False,
            "fast_conv": False,
            "ema": None,
        }
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if key not in unset or value is not unset[key]}

    @model_validator(mode="after")
    def _batch_divides(self) -> Training:
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of accumulate {self.accumulate}")
        return self


class Evaluation(Record):
    """How predictions are scored; ``val_clips`` and ``test_clips`` cap a split to its evenly spaced clips.

    ``latitudes`` are those of a frame's first and last row in degrees, for metrics that weight the rows between them.
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    batch_size: PositiveInt = 16
    val_clips: PositiveInt | None = None
    test_clips: PositiveInt | None = None
    latitudes: tuple[Latitude, Latitude] | None = None

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave latitudes out where there are none, so that a run without them keeps its name."""
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if value is not None or key != "latitudes"}


class MethodSettings(Record):
    """Settings of one method: hyperparameters (``config``) and training keys that differ (``training``)."""

    config: dict[str, Any] = {}
    training: dict[str, Any] = {}


class Stated(NamedTuple):
    """Who states a value of a protocol: the protocol (it may be one that is extended) and the file, for people."""

    protocol: str
    origin: str


class Part(NamedTuple):
    """The values that one protocol of a lineage states: its name, the origin of each dotted key, the values."""

    protocol: str
    origins: dict[str, str]
    values: dict[str, Any]


class SharedEncoder(Record):
    """Sizes of the strided encoder/decoder that every method gets under ``--encoder shared``."""

    hid_s: PositiveInt = 32
    n_s: PositiveInt = 2


class Protocol(Record):
    """One way to run a benchmark: ``paper``, ``legacy`` or ``quick``.

    ``selection`` says which split picks the checkpoint; ``baselines`` are run beside every method;
    ``shape`` replaces the benchmark's, for a setting that must be small.
    """

    description: str
    selection: Selection = "validation"
    baselines: tuple[str, ...] = ()
    shape: ClipShape | None = None
    training: Training
    evaluation: Evaluation
    methods: dict[str, MethodSettings] = {}
    shared_encoder: SharedEncoder = SharedEncoder()
    dataset: dict[str, Any] = {}

    def settings(self, method: str) -> MethodSettings:
        """What the benchmark's files say about one method; empty for a method they do not name."""
        return self.methods.get(method, MethodSettings())

    _lineage: tuple[str, ...] = PrivateAttr(default=())
    _stated: dict[str, Stated] = PrivateAttr(default_factory=dict)

    def with_sources(self, lineage: tuple[str, ...], stated: Mapping[str, Stated]) -> Self:
        """The protocol with what its file says about it.

        Args:
            lineage: the protocols it extends, the most distant first, then its own name.
            stated: dotted key -> who states its value.
        """
        copy = self.model_copy()
        copy._lineage, copy._stated = lineage, dict(stated)
        return copy

    def parts(self, section: str, values: Mapping[str, Any], own: Stated) -> Iterator[Part]:
        """Split values of the section at the dotted key ``section`` by the protocol that states them, weakest first.

        A value that no file states (changed in memory) counts as ``own``, whose protocol comes last.
        """
        lineage = self._lineage or (own.protocol,)
        found = {name: Part(name, {}, {}) for name in lineage}
        for path, value in leaves(values):
            key = ".".join(path)
            stated = self._stated.get(f"{section}.{key}", own)
            part = found.get(stated.protocol, found[lineage[-1]])
            part.origins[key] = stated.origin
            put(part.values, path, value)
        yield from found.values()


class DatasetSpec(Record):
    """Which reader makes the clips (entry-point group ``stbench.datasets``) and its options."""

    reader: str
    options: dict[str, Any] = {}


class Benchmark(Record):
    """A dataset under its protocols. ``value_range`` is the model space; ``data_range`` the peak for PSNR and SSIM.

    ``family`` names benchmarks that are run alike (``traffic``, ``video``), by which methods key their presets. It
    decides no number by itself, so no dump and no hash holds it.
    """

    name: str
    family: str | None = Field(default=None, exclude=True)
    version: PositiveInt
    title: str
    shape: ClipShape
    dataset: DatasetSpec
    units: str
    value_range: tuple[float, float] | None = (0.0, 1.0)
    data_range: PositiveFloat | None = 1.0
    protocols: dict[str, Protocol]

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def with_origins(self, origins: Mapping[str, str]) -> Self:
        """The benchmark with the origin of values by dotted key, over those that it has."""
        copy = self.model_copy()
        copy._origins = {**self._origins, **origins}
        return copy

    def origins(self, section: str, values: Mapping[str, Any], otherwise: str) -> dict[str, str]:
        """Origin of each leaf of ``values``, those of a section (dotted); ``otherwise`` where no file states it."""
        keys = (".".join(path) for path, _ in leaves(values))
        return {key: self._origins.get(f"{section}.{key}", otherwise) for key in keys}
