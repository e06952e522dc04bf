"""Resolve what the user asked for into run specs; every value's origin is kept. No file is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch

from stbench.data.benchmarks.lookup import dataset_spec, get_protocol, load_benchmark, merge, set_value
from stbench.data.dataset import DATASETS
from stbench.errors import UserError, unknown_name
from stbench.metrics import check_metrics
from stbench.nn import METHODS, Method, split_name, variant_settings
from stbench.schema import Benchmark, DatasetSpec, Evaluation, Protocol, RunSpec, Training
from stbench.sweep.budget import resolve_budget

TRAINING_KEYS = tuple(Training.model_fields)
SECTIONS = ("evaluation", "dataset")


@dataclass(frozen=True)
class Request:
    """What a ``stbench run`` asks for.

    ``benchmark`` is a name, or a benchmark made on the fly from the user's own data.
    ``training`` holds training keys given as flags (epochs, precision …), each already named after the flag;
    ``overrides`` the ``--set`` pairs, e.g. ("tau.lr", "1e-3") or ("epochs", "3"); ``inferred`` are
    hyperparameters of a method read off published weights, which only ``--set`` outranks.
    """

    methods: Sequence[str]
    benchmark: str | Benchmark
    protocol: str = "paper"
    seeds: Sequence[int] = (0,)
    training: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[tuple[str, str]] = ()
    encoder: Literal["paper", "shared"] = "paper"
    inferred: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Runs to do, and the methods left out with the reason."""

    benchmark: Benchmark
    protocol: Protocol
    specs: tuple[RunSpec, ...]
    skipped: dict[str, str]


def parse_override(text: str) -> tuple[str, str]:
    """Split ``key=value`` of ``--set`` at its last "=" (a method's name may hold one).

    Raises:
        UserError: there is no "=", or a key is empty.
    """
    key, equals, value = text.rpartition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        raise UserError(f"--set {text!r}: expected KEY=VALUE, e.g. --set tau.lr=1e-3 or --set epochs=3.")
    return key.strip(), value.strip()


def make_plan(request: Request) -> Plan:
    """Resolve a request.

    Raises:
        UserError: an unknown method, benchmark, protocol, metric or key, or a value that does not fit.
    """
    given = request.benchmark
    benchmark = given if isinstance(given, Benchmark) else load_benchmark(given)
    protocol = get_protocol(benchmark, request.protocol)
    if protocol.shape is not None:
        benchmark = benchmark.model_copy(update={"shape": protocol.shape})
    if {"budget", "epochs"} <= set(request.training):
        raise UserError("--budget and --epochs both say how long to train. Give one of them.")
    methods = list(dict.fromkeys([*protocol.baselines, *request.methods]))
    _check_targets(request.overrides, methods)
    specs: list[RunSpec] = []
    skipped: dict[str, str] = {}
    for name in methods:
        reason = METHODS.get(split_name(name)[0]).skip(benchmark)
        if reason is not None:
            skipped[name] = reason
            continue
        resolved = _Resolver(request, benchmark, protocol, name)
        seeds = request.seeds if resolved.trainable else (0,)  # without training every seed gives the same numbers
        specs.extend(resolved.spec(seed) for seed in seeds)
    return Plan(benchmark, protocol, tuple(specs), skipped)


def check_devices(specs: Sequence[RunSpec], devices: int) -> None:
    """Refuse global batches that do not divide among data-parallel processes.

    Raises:
        UserError: the batch of some run does not.
    """
    for spec in specs:
        size = devices if spec.training is None else spec.training.batch_size
        if size % devices:
            below = size // devices * devices
            near = f"{below} or {below + devices}" if below else f"{devices}"
            raise UserError(
                f"--devices {devices}: the global batch of {size} clips of {spec.method!r} does not divide among "
                f"{devices} processes. Use --batch-size {near}."
            )


def _check_targets(overrides: Sequence[tuple[str, str]], methods: Sequence[str]) -> None:
    """Refuse ``--set x.key`` for a method that is not in the run."""
    plugins = {split_name(name)[0] for name in methods} | set(methods)
    for key, value in overrides:
        if any(key.startswith(f"{plugin}.") for plugin in plugins):
            continue
        head, dot, rest = key.partition(".")
        if head == "training" and dot:
            raise UserError(f"--set {key}={value}: keys of training stand alone. Use --set {rest}={value}.")
        if key in Evaluation.model_fields and key not in TRAINING_KEYS:
            raise UserError(f"--set {key}={value}: {key!r} is a key of evaluation. Use --set evaluation.{key}={value}.")
        if dot and head not in (*TRAINING_KEYS, *SECTIONS):
            raise unknown_name("method in --set", key.rpartition(".")[0], plugins)
        if not dot and head not in TRAINING_KEYS:
            raise unknown_name("key in --set", key, [*TRAINING_KEYS, "METHOD.KEY", *(f"{s}.KEY" for s in SECTIONS)])


class _Resolver:
    """Layers the sources of one method's settings, weakest first, and remembers who set what."""

    def __init__(self, request: Request, benchmark: Benchmark, protocol: Protocol, name: str) -> None:
        self.request = request
        self.benchmark = benchmark
        self.protocol = protocol
        self.name = name
        self.plugin = split_name(name)[0]
        self.where = f"{benchmark.name} protocol {request.protocol}"
        self.method: type[Method] = METHODS.get(self.plugin)
        self.origins: dict[str, str] = {}
        self.config = self._config()
        self.trainable = _sketch(partial(self.method.create, benchmark.shape, self.config, name)).trainable
        self._check_encoder()
        self.training = self._training() if self.trainable else None

    def spec(self, seed: int) -> RunSpec:
        """The run of one seed."""
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
        values: dict[str, Any] = {}
        self._layer("config", values, self.method.adapt(self.benchmark), "fitted to the benchmark's value range")
        self._layer("config", values, self.protocol.settings(self.plugin).config, self.where)
        self._layer("config", values, variant_settings(self.name), f"variant in {self.name!r}")
        self._layer("config", values, self._shared_encoder(), "--encoder shared")
        self._layer("config", values, self.request.inferred.get(self.name, {}), "shapes of the published weights")
        self._layer("config", values, self._set_pairs(training=False), "--set")
        config = self.method.Config.parse(values, f"method {self.name!r}").model_dump(mode="json")
        for key in config:
            self.origins.setdefault(f"config.{key}", "method default")
        return config

    def _shared_encoder(self) -> dict[str, Any]:
        if self.request.encoder == "paper" or "encoder" not in self.method.Config.model_fields:
            return {}
        return {"encoder": "shared", **self.protocol.shared_encoder.model_dump()}

    def _check_encoder(self) -> None:
        """Under --encoder shared, what is trained must have it; a baseline without parameters has nothing to share."""
        if self.request.encoder == "shared" and self.trainable and "encoder" not in self.config:
            raise UserError(
                f"--encoder shared: {self.plugin} has no shared encoder/decoder variant. "
                "Leave it out of --methods, or use --encoder paper."
            )

    def _training(self) -> Training:
        values: dict[str, Any] = {}
        self._layer("training", values, self.protocol.training.model_dump(mode="json"), self.where)
        self._layer(
            "training", values, self.protocol.settings(self.plugin).training, f"{self.where}, methods.{self.plugin}"
        )
        for flag, value in self.request.training.items():
            self._layer("training", values, {flag: value}, f"--{flag.replace('_', '-')}")
        self._layer("training", values, self._set_pairs(training=True), "--set")
        training = Training.parse(values, f"training of {self.name!r}")
        make = partial(self.method.create, self.benchmark.shape, self.config, self.name)
        return resolve_budget(training, make, self.name)

    def _evaluation(self) -> Evaluation:
        values: dict[str, Any] = {}
        self._layer("evaluation", values, self.protocol.evaluation.model_dump(mode="json"), self.where)
        self._layer("evaluation", values, self._section("evaluation"), "--set")
        evaluation = Evaluation.parse(values, "evaluation")
        known = evaluation.latitudes is not None
        check_metrics(evaluation.metrics, data_range=self.benchmark.data_range, latitudes_known=known)
        return evaluation

    def _dataset(self) -> DatasetSpec:
        spec = dataset_spec(self.benchmark, self.protocol)
        options = dict(spec.options)
        self._layer("dataset", options, options, self.where)
        self._layer("dataset", options, self._section("dataset"), "--set")
        DATASETS.get(spec.reader).Options.parse(options, f"{self.benchmark.name}: dataset.options")
        return DatasetSpec(reader=spec.reader, options=options)

    def _section(self, name: str) -> dict[str, Any]:
        """``--set`` values of a section that all methods share: ``evaluation.key`` or ``dataset.key``."""
        prefix = f"{name}."
        chosen = [(key.removeprefix(prefix), text) for key, text in self.request.overrides if key.startswith(prefix)]
        return {key: set_value(prefix + key, text) for key, text in chosen}

    def _set_pairs(self, *, training: bool) -> dict[str, Any]:
        """``--set`` values meant for this method: ``method.key`` or a bare training ``key``, dotted for nested keys."""
        pairs: dict[str, Any] = {}
        for full_key, text in self.request.overrides:
            key = full_key
            for target in (self.name, self.plugin):
                key = key.removeprefix(f"{target}.")
            head = key.split(".")[0]
            for_others = key == full_key and head not in TRAINING_KEYS
            if not for_others and (head in TRAINING_KEYS) == training:
                _put(pairs, key.split("."), set_value(full_key, text))
        return pairs

    def _layer(self, part: str, values: dict[str, Any], over: Mapping[str, Any], origin: str) -> None:
        for key, value in over.items():
            nested = isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
            values[key] = merge(values[key], value) if nested else value
            self.origins[f"{part}.{key}"] = origin


def _sketch(make: Callable[[], Method]) -> Method:
    """A method to look at: on torch's "meta" device, without memory, unless its constructor needs real numbers."""
    try:
        with torch.device("meta"):
            return make()
    except Exception:  # a plugin is foreign code; what is wrong for good is raised again here
        return make()


def _put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(target.get(part, {}), dict):
            raise UserError(f"--set {'.'.join(path)}: {part!r} was set to a plain value before. Set one or the other.")
        target = target.setdefault(part, {})
    target[path[-1]] = value
