"""Resolution of a request into run specs, with the origin of every value. Writes no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stbench.data.benchmarks.lookup import get_protocol, load_benchmark
from stbench.errors import UserError
from stbench.nn import METHODS, split_name
from stbench.registry import foreign_code
from stbench.schema import Benchmark, ClipShape, Protocol, RunSpec
from stbench.settings import below
from stbench.sweep.overrides import check_targets
from stbench.sweep.resolve import Resolver


@dataclass(frozen=True)
class Request:
    """Request of ``stbench run``.

    ``benchmark``: a name, or a benchmark made from the user's own data. ``training``: training keys given as flags
    (epochs, precision …). ``overrides``: the ``--set`` pairs, e.g. ("tau.lr", "1e-3") or ("epochs", "3"). ``filed``:
    such pairs from an experiment ``file``; flags and ``--set`` override them. ``inferred``: hyperparameters inferred
    from public weights, which only ``--set`` overrides. ``free_shape``: lets ``--set shape.KEY`` change the protocol's
    shape, for commands that compute no score.
    """

    methods: Sequence[str]
    benchmark: str | Benchmark
    protocol: str = "paper"
    seeds: Sequence[int] = (0,)
    training: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[tuple[str, str]] = ()
    filed: Sequence[tuple[str, str]] = ()
    file: str = ""
    encoder: Literal["paper", "shared"] = "paper"
    inferred: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    free_shape: bool = False


@dataclass(frozen=True)
class Plan:
    """Runs to do, and methods left out with the reason."""

    benchmark: Benchmark
    protocol: Protocol
    specs: tuple[RunSpec, ...]
    skipped: dict[str, str]


def make_plan(request: Request) -> Plan:
    """Resolve a request.

    Raises:
        UserError: a method, benchmark, protocol, metric or key is unknown, or a value is invalid.
    """
    given = request.benchmark
    benchmark = given if isinstance(given, Benchmark) else load_benchmark(given)
    protocol = get_protocol(benchmark, request.protocol)
    if protocol.shape is not None:
        benchmark = benchmark.model_copy(update={"shape": protocol.shape})
    if {"budget", "epochs"} <= set(request.training):
        raise UserError("--budget and --epochs both say how long to train. Give one of them.")
    methods = list(dict.fromkeys([*protocol.baselines, *request.methods]))
    check_targets(request.filed, methods, where=request.file)
    check_targets(request.overrides, methods, free_shape=request.free_shape)
    sizes = {**benchmark.shape.model_dump(), **below(request.overrides, "shape")}
    benchmark = benchmark.model_copy(update={"shape": ClipShape.parse(sizes, "--set shape")})
    specs: list[RunSpec] = []
    skipped: dict[str, str] = {}
    for name in methods:
        method = METHODS.get(split_name(name)[0])
        with foreign_code(f"The method {name!r} fails in skip"):
            reason = method.skip(benchmark)
        if reason is not None:
            skipped[name] = reason
            continue
        resolved = Resolver(request, benchmark, protocol, name)
        seeds = request.seeds if resolved.trainable else (0,)  # untrained: all seeds give the same numbers
        specs.extend(resolved.spec(seed) for seed in seeds)
    return Plan(benchmark, protocol, tuple(specs), skipped)


def check_devices(specs: Sequence[RunSpec], devices: int, nodes: int = 1) -> None:
    """Refuse what data-parallel processes cannot do: global batches that do not divide among them, fast_conv.

    Raises:
        UserError: some run asks for it.
    """
    processes = devices * nodes
    flags = f"--devices {devices}" + (f" --nodes {nodes}" if nodes > 1 else "")
    for spec in specs:
        size = processes if spec.training is None else spec.training.batch_size
        if size % processes:
            below = size // processes * processes
            near = f"{below} or {below + processes}" if below else f"{processes}"
            raise UserError(
                f"{flags}: the global batch of {size} clips of {spec.method!r} does not divide among "
                f"{processes} processes. Use --batch-size {near}."
            )
        if processes > 1 and spec.training is not None and spec.training.fast_conv:
            raise UserError(f"{flags}: fast_conv of {spec.method!r} needs a single process. Leave it out.")
