"""Order of the sources of a method's settings, weakest first, and the origin of each value.

Method default < preset of the method < fragments included by the benchmark < the benchmark's protocol < variant in the
method's name < experiment file < flags < ``--set``. Each source is one ``(origin, mapping)`` pair of a list that
:func:`stbench.settings.resolve` merges; another source is one more line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from stbench.data.dataset import DATASETS
from stbench.errors import UserError
from stbench.metrics import check_metrics, expand
from stbench.nn import METHODS, Method, protocol_layers, split_name, variant_settings
from stbench.registry import foreign_code
from stbench.schema import Benchmark, DatasetSpec, Evaluation, Parameters, Protocol, RunSpec, Training
from stbench.schema.protocol import Stated
from stbench.settings import Origin, below, leaves, origin_of, resolve
from stbench.sweep.budget import resolve_budget
from stbench.sweep.overrides import for_method
from stbench.train.length import run_length
from stbench.train.rates import rate_at_step

if TYPE_CHECKING:
    from stbench.sweep.plan import Request

Layers = Iterable[tuple[Origin, Mapping[str, Any]]]
SET = "--set"


class Resolver:
    """Resolved settings of one method of a request; :meth:`spec` returns the run of one seed.

    Raises:
        UserError: a key is unknown, a value is invalid, or the method cannot be built with these settings.
    """

    def __init__(self, request: Request, benchmark: Benchmark, protocol: Protocol, name: str) -> None:
        self.request = request
        self.benchmark = benchmark
        self.protocol = protocol
        self.name = name
        self.plugin = split_name(name)[0]
        self.own = Stated(request.protocol, f"{benchmark.name} protocol {request.protocol}")
        self.method: type[Method] = METHODS.get(self.plugin)
        fields = self.method.Config.model_fields
        self.filed = for_method(request.filed, name, fields, where=request.file)
        self.overrides = for_method(request.overrides, name, fields)
        self.origins: dict[str, str] = {}
        self.config = self._config()
        self.make = partial(self.method.create, benchmark.shape, self.config, name)
        self.trainable = _sketch(self.make).trainable
        self._check_encoder()
        self.training = self._training() if self.trainable else None

    def spec(self, seed: int) -> RunSpec:
        """Return the run of one seed."""
        benchmark = self.benchmark
        encoder = self.request.encoder if "encoder" in self.config else "paper"
        return RunSpec(
            method=self.name,
            plugin=self.plugin,
            config=self.config,
            benchmark=benchmark.name,
            benchmark_version=benchmark.version,
            protocol=self.request.protocol,
            shape=benchmark.shape,
            dataset=self._dataset(),
            value_range=benchmark.value_range,
            data_range=benchmark.data_range,
            training=self.training,
            selection=self.protocol.selection,
            evaluation=self._evaluation(),
            encoder=encoder,
            seed=seed,
            origins=self.origins,
        )

    def _config(self) -> dict[str, Any]:
        values, origins = resolve(
            [
                ("fitted to the benchmark's value range", self._adapted()),
                *self._protocol("config"),
                (f"variant in {self.name!r}", variant_settings(self.name)),
                ("--encoder shared", self._shared_encoder()),
                (self.request.file, self.filed.config),
                ("shapes of the published weights", self.request.inferred.get(self.name, {})),
                (SET, self.overrides.config),
            ]
        )
        config = self.method.Config.parse(values, f"method {self.name!r}", origins).model_dump(mode="json")
        self._record("config", config, origins, "method default")
        return config

    def _adapted(self) -> Mapping[str, Any]:
        with foreign_code(f"The method {self.name!r} fails in adapt"):
            return self.method.adapt(self.benchmark)

    def _training(self) -> Training:
        flags = [(f"--{flag.replace('_', '-')}", {flag: value}) for flag, value in self.request.training.items()]
        values, origins = resolve(
            [
                *self._protocol("training"),
                (self.request.file, self.filed.training),
                *flags,
                (SET, self.overrides.training),
            ]
        )
        training = Training.parse(values, f"training of {self.name!r}", origins)
        self._record("training", training.model_dump(mode="json"), origins, "stbench default")
        self._check_buildable(training)
        return resolve_budget(training, self.make, self.name)

    def _check_buildable(self, training: Training) -> None:
        """Build the optimiser and ask the schedule for a rate, so that a plan finds what they refuse."""
        with foreign_code(f"training of {self.name!r}: the optimizer {training.optimizer.kind!r} cannot be built"):
            try:
                training.optimizer.build(Parameters(_stand_in()), training.lr)
            except Exception:  # perhaps of the stand-in alone
                training.optimizer.build(Parameters(self.make()), training.lr)
        with foreign_code(f"training of {self.name!r}: the schedule {training.schedule.kind!r} fails"):
            rate_at_step(training, run_length(training, 1), 0, 0)

    def _evaluation(self) -> Evaluation:
        stated = self.protocol.evaluation.model_dump(mode="json", exclude_unset=True)
        parts = [(part.origins, part.values) for part in self.protocol.parts("evaluation", stated, self.own)]
        values, origins = resolve([*parts, *self._shared("evaluation")])
        evaluation = Evaluation.parse(values, "evaluation", origins)
        self._record("evaluation", evaluation.model_dump(mode="json"), origins, "stbench default")
        unit = evaluation.threshold_unit
        if unit is not None and unit != self.benchmark.units:
            raise UserError(
                f"evaluation.threshold_unit is {unit!r}, the data of {self.benchmark.name} are in "
                f"{self.benchmark.units!r}. State the thresholds in the units of the data."
            )
        columns = expand(evaluation, self.benchmark.shape)
        beside = expand(evaluation, self.benchmark.shape, evaluation.beside)
        further = tuple(name for name in dict.fromkeys(beside) if name not in columns)
        evaluation = evaluation.model_copy(update={"metrics": columns, "beside": further})
        known = evaluation.latitudes is not None
        check_metrics((*columns, *further), data_range=self.benchmark.data_range, latitudes_known=known)
        return evaluation

    def _dataset(self) -> DatasetSpec:
        dataset = self.benchmark.dataset
        of_benchmark = self.benchmark.origins("dataset.options", dataset.options, self.own.origin)
        parts = [
            (part.origins, part.values) for part in self.protocol.parts("dataset", self.protocol.dataset, self.own)
        ]
        options, origins = resolve([(of_benchmark, dataset.options), *parts, *self._shared("dataset")])
        DATASETS.get(dataset.reader).Options.parse(options, f"{self.benchmark.name}: dataset.options", origins)
        self._record("dataset", options, origins, "stbench default")
        return DatasetSpec(reader=dataset.reader, options=options)

    def _protocol(self, section: Literal["config", "training"]) -> Layers:
        return protocol_layers(self.method, self.name, self.benchmark, self.request.protocol, section)

    def _shared(self, section: Literal["evaluation", "dataset"]) -> Layers:
        """What the experiment file and ``--set`` say of a section that all methods share."""
        request = self.request
        return [(request.file, below(request.filed, section)), (SET, below(request.overrides, section))]

    def _record(self, part: str, values: Mapping[str, Any], origins: Mapping[str, str], default: str) -> None:
        """Record the origin of every leaf of a part by dotted key."""
        for path, _ in leaves(values):
            key = ".".join(path)
            self.origins[f"{part}.{key}"] = origin_of(origins, key) or default

    def _shared_encoder(self) -> dict[str, Any]:
        if self.request.encoder == "paper" or "encoder" not in self.method.Config.model_fields:
            return {}
        return {"encoder": "shared", **self.protocol.shared_encoder.model_dump()}

    def _check_encoder(self) -> None:
        """Check that trained methods support --encoder shared; untrained ones have no encoder."""
        if self.request.encoder == "shared" and self.trainable and "encoder" not in self.config:
            raise UserError(
                f"--encoder shared: {self.plugin} has no shared encoder/decoder variant. "
                "Leave it out of --methods, or use --encoder paper."
            )


def _stand_in() -> torch.nn.Module:
    """The smallest module with a matrix and a vector to optimise, made without random numbers."""
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.zeros(2, 2))
    module.bias = torch.nn.Parameter(torch.zeros(2))
    return module


def _sketch(make: Callable[[], Method]) -> Method:
    """Build a method on torch's "meta" device, without memory, unless its constructor needs real values."""
    try:
        with torch.device("meta"):
            return make()
    except Exception:  # a plugin may raise anything; a real error is raised again below
        return make()
