"""Benchmarks and protocols: the typed form of ``benchmarks/<name>/protocol.yaml``."""

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

from stbench.errors import counted
from stbench.schema.base import Record
from stbench.schema.budget import Budget
from stbench.schema.optimizer import OPTIMIZERS, Optimizer
from stbench.schema.schedule import Schedule
from stbench.schema.shape import ClipShape
from stbench.settings import leaves, put

Precision = Literal["32", "bf16"]
Selection = Literal["validation", "test"]
MOST_EPOCHS = 1_000_000
"""Epochs of a training; a thousand times those of the longest published one hide a typing error."""
MOST_STEPS = 1_000_000_000
"""Optimiser steps of a training."""
Decay = Annotated[float, Field(gt=0, lt=1)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Window = Annotated[int, Field(ge=1)]


class Training(Record):
    """Settings of training, with the defaults of all protocols and methods.

    ``batch_size``: global batch of one optimiser step. ``accumulate``: number of forward passes into which a batch is
    split. ``train_clips``: maximum number of clips per epoch, a seeded subset drawn each epoch. ``patience``: number of
    epochs without a better validation MSE after which training stops.

    ``activation_checkpointing``: stores only the state between the steps of a rollout and computes each step twice, for
    horizons that do not fit in memory; feed-forward methods are unaffected. ``compile``: runs passes and rollout steps
    through torch.compile, as CUDA graphs on CUDA. ``fast_conv``: lets float32 convolutions on a CPU use an algorithm
    with fewer multiplications where it is faster; results differ by a few rounding errors, and between machines.

    ``ema``: decay of an exponential moving average of the weights, which is then validated, selected and scored.

    ``steps``: length of training in optimiser steps, in place of ``epochs``. ``budget``: of time, ends training with
    the step that exceeds it. A schedule by steps then follows the share of time spent, a schedule by epochs the number
    of epochs that fit, judged by the first. A budget of multiply-adds or epochs is resolved to ``steps`` or ``epochs``
    when the run is planned.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: Annotated[PositiveInt, Field(le=MOST_EPOCHS)]
    batch_size: PositiveInt
    lr: PositiveFloat
    optimizer: SerializeAsAny[Optimizer] = Field(default_factory=lambda: OPTIMIZERS.get(Optimizer.default_kind)())  # type: ignore[call-arg]
    schedule: SerializeAsAny[Schedule]
    accumulate: PositiveInt = 1
    clip_norm: PositiveFloat | None = None
    precision: Precision = "32"
    patience: PositiveInt | None = None
    train_clips: PositiveInt | None = None
    steps: Annotated[PositiveInt, Field(le=MOST_STEPS)] | None = None
    budget: Budget | None = None
    activation_checkpointing: bool = False
    compile: bool = False
    fast_conv: bool = False
    ema: Decay | None = None

    @property
    def time_limit(self) -> float | None:
        """Seconds after which training ends; None without a budget of time."""
        return self.budget.amount if self.budget is not None and self.budget.kind == "time" else None

    @property
    def extent(self) -> str:
        """Length of training as text."""
        if self.time_limit is not None:
            return str(self.budget)
        if self.steps is not None:
            return counted(self.steps, "step") + (f" ({self.budget})" if self.budget is not None else "")
        return counted(self.epochs, "epoch")

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out optional fields that are unset, so that run ids without them do not change."""
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
    """Settings of scoring.

    ``val_clips``, ``test_clips``: maximum number of clips of a split, evenly spaced. ``latitudes``: of a frame's first
    and last row in degrees, for metrics that weight rows.
    ``beside``: further metrics, measured and shown after ``metrics``. They do not enter the run id, so adding one
    leaves finished runs what they are; a run from before shows it as not available.
    ``thresholds`` of event scores, the ``windows`` (odd, in cells) of the fractions skill score and the
    ``flow_threshold`` above which traffic counts, are in the benchmark's units; ``threshold_unit`` repeats these.
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    batch_size: PositiveInt = 16
    val_clips: PositiveInt | None = None
    test_clips: PositiveInt | None = None
    latitudes: tuple[Latitude, Latitude] | None = None
    thresholds: tuple[float, ...] | None = None
    threshold_unit: str | None = None
    windows: tuple[Window, ...] | None = None
    flow_threshold: float | None = None
    beside: tuple[str, ...] = ()

    @property
    def listed(self) -> tuple[str, ...]:
        """All metrics, those beside last."""
        return tuple(dict.fromkeys((*self.metrics, *self.beside)))

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out unset options, so that run ids without them do not change."""
        optional = {"latitudes", "thresholds", "threshold_unit", "windows", "flow_threshold", "beside"}
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if value not in (None, (), []) or key not in optional}


class MethodSettings(Record):
    """Settings of one method: hyperparameters (``config``) and overrides of training (``training``)."""

    config: dict[str, Any] = {}
    training: dict[str, Any] = {}


class Stated(NamedTuple):
    """Origin of a value: the protocol that states it (possibly an extended one) and the file as text."""

    protocol: str
    origin: str


class Part(NamedTuple):
    """Values that one protocol of a lineage states: its name, the origin of each dotted key, the values."""

    protocol: str
    origins: dict[str, str]
    values: dict[str, Any]


class SharedEncoder(Record):
    """Sizes of the strided codec that all methods use under ``--encoder shared``."""

    hid_s: PositiveInt = 32
    n_s: PositiveInt = 2


class Protocol(Record):
    """One way to run a benchmark: ``paper``, ``legacy`` or ``quick``.

    ``selection``: the split that selects the checkpoint. ``baselines``: run beside every method. ``shape``: overrides
    the benchmark's, for settings that must be small.
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
        """Return the settings of one method in the benchmark's files; empty if they do not name it."""
        return self.methods.get(method, MethodSettings())

    _lineage: tuple[str, ...] = PrivateAttr(default=())
    _stated: dict[str, Stated] = PrivateAttr(default_factory=dict)

    def with_sources(self, lineage: tuple[str, ...], stated: Mapping[str, Stated]) -> Self:
        """Return the protocol with the origins of its values.

        Args:
            lineage: the protocols that it extends, the most distant first, then its own name.
            stated: dotted key -> origin of its value.
        """
        copy = self.model_copy()
        copy._lineage, copy._stated = lineage, dict(stated)
        return copy

    def parts(self, section: str, values: Mapping[str, Any], own: Stated) -> Iterator[Part]:
        """Split the values of a section (a dotted key) by the protocol that states them, weakest first.

        A value that no file states (changed in memory) belongs to ``own``, whose protocol comes last.
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
    """The dataset reader (entry-point group ``stbench.datasets``) and its options."""

    reader: str
    options: dict[str, Any] = {}


class Holdings(Record):
    """A benchmark's files: their ``size`` on disk, and how much of the real files its reader was tried on."""

    size: str = "unknown"
    tried: Literal["all", "part", "none"] = "none"


class PublishedLeak(Record):
    """What the split behind published numbers shares: ``clips`` of its ``test_clips`` have frames that train."""

    clips: PositiveInt
    test_clips: PositiveInt

    def __str__(self) -> str:
        share = 100 * self.clips / self.test_clips
        return f"{self.clips} of the {self.test_clips} test clips ({share:.1f} %) share frames with training clips"


class Benchmark(Record):
    """A dataset under its protocols.

    ``value_range``: range of values in model space. ``data_range``: peak value for PSNR and SSIM. ``family``: name for
    benchmarks with shared settings (``traffic``, ``video``), by which methods key presets. It decides no number, so it
    is not part of dumps and hashes; nor are ``holdings`` (for listings) and
    ``published_leak`` (set where the published split leaks).
    """

    name: str
    family: str | None = Field(default=None, exclude=True)
    holdings: Holdings = Field(default=Holdings(), exclude=True)
    published_leak: PublishedLeak | None = Field(default=None, exclude=True)
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
        """Return the benchmark with more origins, by dotted key, which override those that it has."""
        copy = self.model_copy()
        copy._origins = {**self._origins, **origins}
        return copy

    def origins(self, section: str, values: Mapping[str, Any], otherwise: str) -> dict[str, str]:
        """Return the origin of each leaf of ``values`` of a section; ``otherwise`` if none is known."""
        keys = (".".join(path) for path, _ in leaves(values))
        return {key: self._origins.get(f"{section}.{key}", otherwise) for key in keys}
