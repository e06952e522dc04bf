"""From an experiment to its runs: plans of every dataset and protocol, and checks that need no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stbench.errors import UserError
from stbench.nn import METHODS
from stbench.schema import Benchmark, RunSpec
from stbench.settings import Override
from stbench.sweep.experiment import DatasetChoice, Experiment, as_overrides
from stbench.sweep.plan import Request, check_devices, make_plan
from stbench.sweep.sweep import check_out
from stbench.train.launch import check_launch


@dataclass(frozen=True)
class Part:
    """The runs of one dataset under one protocol, and methods left out with the reason."""

    title: str
    specs: tuple[RunSpec, ...]
    skipped: dict[str, str]


@dataclass(frozen=True)
class Flags:
    """What a command says over its experiment file: training keys given as flags, and the ``--set`` pairs."""

    training: dict[str, object]
    sets: Sequence[Override] = ()


def plan_parts(
    experiment: Experiment, opened: Sequence[tuple[DatasetChoice, str | Benchmark]], flags: Flags, file: str
) -> tuple[Part, ...]:
    """Resolve an experiment into the runs of each dataset and protocol.

    Args:
        experiment: with the flags in it, which decide over its own training keys.
        opened: its datasets, each with its benchmark.
        flags: given on the command line.
        file: of the experiment, for messages and origins.

    Raises:
        UserError: a method, benchmark, protocol, metric or key is unknown, or a value is invalid.
    """
    stated = {key: value for key, value in experiment.training_keys().items() if key not in flags.training}
    parts = []
    for choice, benchmark in opened:
        request = Request(
            methods=experiment.methods,
            benchmark=benchmark,
            seeds=experiment.seeds,
            training=flags.training,
            overrides=flags.sets,
            filed=[*as_overrides(stated), *as_overrides(experiment.settings), *as_overrides(choice.settings)],
            file=file,
            encoder=experiment.encoder,
        )
        for protocol in choice.protocols or experiment.protocols:
            plan = make_plan(replace(request, protocol=protocol))
            parts.append(Part(f"{plan.benchmark.title}, {protocol}", _spread(plan.specs, experiment), plan.skipped))
    return tuple(parts)


def rerun_part(spec: RunSpec, seeds: Sequence[int] | None, experiment: Experiment) -> Part:
    """Return the run of a ``spec.yaml`` as it is, or the same with other seeds or numbers of processes.

    Raises:
        UserError: its method is not installed, or its settings are no longer valid.
    """
    config = METHODS.get(spec.plugin).Config
    config.parse(spec.config, f"method {spec.method!r} of the spec")
    specs = [spec] if seeds is None else [spec.model_copy(update={"seed": seed}) for seed in seeds]
    return Part(f"{spec.benchmark}, {spec.protocol}", _spread(specs, experiment), {})


def _spread(specs: Sequence[RunSpec], experiment: Experiment) -> tuple[RunSpec, ...]:
    """Record how many processes train each run; an untrained method gives the same numbers on any."""
    size = {"world_size": experiment.world_size, "nodes": experiment.nodes}
    return tuple(spec if spec.training is None else spec.model_copy(update=size) for spec in specs)


def all_specs(parts: Sequence[Part]) -> tuple[RunSpec, ...]:
    """Return the runs of all parts, each once."""
    return tuple({spec.folder: spec for part in parts for spec in part.specs}.values())


def check_place(specs: Sequence[RunSpec], experiment: Experiment, runs_are_alone: bool) -> None:
    """Check that the processes that were started are those asked for, that batches divide among them, and the output.

    Args:
        specs: the plan.
        experiment: with its numbers of processes, executor and output folder.
        runs_are_alone: whether the executor gives every run a process of its own.

    Raises:
        UserError: one of these is wrong.
    """
    devices, nodes = experiment.devices, experiment.nodes
    if runs_are_alone and experiment.world_size > 1:
        flag = f"--devices {devices}" if devices > 1 else f"--nodes {nodes}"
        raise UserError(
            f"{flag}: with --executor {experiment.executor.kind}, each run has one device. Leave one of the two out."
        )
    check_launch(devices, nodes, needs_all=not runs_are_alone)
    check_devices(specs, devices, nodes)
    check_out(experiment.out / "runs")


def common_precision(specs: Sequence[RunSpec]) -> str:
    """Return the precision of a sweep, which must be the same for all runs, because an engine has one.

    Raises:
        UserError: runs differ.
    """
    found = {spec.training.precision for spec in specs if spec.training is not None}
    if len(found) > 1:
        raise UserError(f"A command has one precision, but the methods ask for {sorted(found)}. Give --precision.")
    return found.pop() if found else "32"
