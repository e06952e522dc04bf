"""The work of ``stbench run``: read the options, plan, run, and show the tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stbench.cli import custom
from stbench.cli.names import check_installed, executor_choice, method_names, seed_numbers
from stbench.errors import UserError
from stbench.settings import Override, parse_overrides
from stbench.sweep.experiment import TRAINING, DatasetChoice, Experiment, described, lay_over, read_experiment

if TYPE_CHECKING:
    from stbench.cli.display import SweepDisplay
    from stbench.events import SweepListener
    from stbench.schema import Benchmark, RunSpec
    from stbench.sweep.executors import Ended, Executor
    from stbench.sweep.launch import Part

EXIT_NOT_ALL_FINISHED = 1
OWN_DATA = ("t_in", "t_out", "stride", "split", "size", "variable", "layout", "level", "fill", "scale")
PLAN_KEYS = ("methods", "dataset", "protocol", "set_")
"""With those of ``TRAINED_FOR`` and ``OWN_DATA``, the options that a ``spec.yaml`` has decided."""
TRAINED_FOR = ("epochs", "budget", "batch_size", "patience", "precision", "encoder")
MACHINE = ("device", "devices", "nodes", "data_dir", "workers", "out", "name")
DOING = ("dry_run", "download", "yes", "allow_http", "retry_failed", "redo", "no_test")


@dataclass(frozen=True)
class Order:
    """What a command asks for: an experiment, or the run of a ``spec.yaml`` in its place, and how to go about it.

    Attributes:
        experiment: methods, datasets, machine.
        opened: its datasets, each with its benchmark.
        training: training keys given as flags.
        sets: the ``--set`` pairs.
        file: the experiment file, for messages.
        spec: of the run to be done again.
        seeds: in place of the spec's seed.
        doing: options that are neither: dry_run, download, yes, allow_http, retry_failed, redo, no_test.
    """

    experiment: Experiment
    opened: Sequence[tuple[DatasetChoice, str | Benchmark]]
    training: dict[str, object]
    sets: Sequence[Override] = ()
    file: str = ""
    spec: RunSpec | None = None
    seeds: Sequence[int] | None = None
    doing: Mapping[str, Any] | None = None

    def asks(self, key: str) -> bool:
        """Return whether an option without a value is given."""
        return bool((self.doing or {}).get(key))


def stated(ctx: typer.Context) -> frozenset[str]:
    """Return the parameters that stand on the command line; the others have their defaults."""
    sources = {key: ctx.get_parameter_source(key) for key in ctx.params}
    return frozenset(key for key, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def launch(options: Mapping[str, Any], given: Collection[str]) -> None:
    """Carry out ``stbench run``.

    Args:
        options: the command's options by parameter name.
        given: names of those on the command line; the others are defaults, which a file overrides.
    """
    order = read_order(options, given)
    executor = _executor(order)
    check_installed(order.experiment.methods)
    from stbench.cli.display import SweepDisplay  # late: mistakes above need no torch

    display = SweepDisplay(quiet=bool(options["quiet"]))
    done = carry_out(order, display, executor)
    if done is None:
        return
    from stbench.cli.tables import show
    from stbench.train.group import leave_group

    parts, ended, out = done
    leave_group()
    if order.asks("no_test"):
        display.note("Trained without the test split. The same command without --no-test scores it.")
        if any(run.outcome not in ("trained", "already done", "finished") for run in ended):
            raise typer.Exit(EXIT_NOT_ALL_FINISHED)
        return
    if display.is_helper:
        missing = sum(run.outcome not in ("finished", "already done") for run in ended)
    else:
        missing = show(parts, ended, out, display)
    if missing:
        raise typer.Exit(EXIT_NOT_ALL_FINISHED)


def _executor(order: Order) -> Executor:
    """The executor of an order; what it needs for a new sweep starts while this process imports torch and methods."""
    executor = order.experiment.executor.make()
    is_new = not any((order.experiment.out / "runs").glob("*/result.json"))
    if is_new and not order.asks("dry_run") and hasattr(executor, "prepare"):
        executor.prepare()
    return executor


def read_order(options: Mapping[str, Any], given: Collection[str]) -> Order:
    """Merge the experiment file, if any, and the options given on the command line.

    Raises:
        UserError: a key, a name or a value is wrong, or methods or datasets are missing.
    """
    file = options["config"]
    read = {} if file is None else read_experiment(file)
    over = _stated_options(options, given)
    doing = {key: options[key] for key in DOING}
    known = read.get("executor") if isinstance(read, dict) else None
    name = options["executor"] if "executor" in given else None
    executor = executor_choice(known, name, options["executor_set"] or (), options["jobs"])
    machine = {} if executor is None else {"executor": executor}
    if not isinstance(read, dict):
        return _order_of_spec(read, file, {**over, **machine}, given, doing)
    own = {key: options[key] for key in OWN_DATA if key in given}
    opened: list[tuple[DatasetChoice, str | Benchmark]] = []
    if "dataset" in given:
        opened = [(DatasetChoice(name=options["dataset"]), custom.resolve_dataset(options["dataset"], **own))]
        over["datasets"] = (opened[0][0],)
    elif own:
        raise UserError(f"--{next(iter(own)).replace('_', '-')}: only beside --dataset path/to/folder.")
    values = {**lay_over(read, over), **machine}
    _check_whole(values, file)
    experiment = Experiment.parse(values, "stbench run" if file is None else str(file), _origins(over))
    opened = opened or [(choice, choice.open()) for choice in experiment.datasets]
    training = {key: over[key] for key in TRAINING if key in over}
    return Order(experiment, opened, training, parse_overrides(options["set_"]), str(file or ""), doing=doing)


def _stated_options(options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The keys of an experiment that the command line states."""
    over = {key: getattr(options[key], "value", options[key]) for key in (*TRAINED_FOR, *MACHINE) if key in given}
    if "log" in given:
        over["log"] = ",".join(options["log"])
    if "tag" in given:
        over["tags"] = tuple(options["tag"])
    if "methods" in given:
        over["methods"] = method_names(options["methods"])
    if "protocol" in given:
        over["protocols"] = (options["protocol"],)
    if "seeds" in given:
        over["seeds"] = seed_numbers(options["seeds"])
    return over


def _origins(over: Mapping[str, Any]) -> dict[str, str]:
    options = {"datasets": "--dataset", "protocols": "--protocol", "tags": "--tag"}
    return {key: options.get(key, f"--{key.replace('_', '-')}") for key in over}


def _check_whole(values: Mapping[str, Any], file: Path | None) -> None:
    """Report what neither the command nor its file says.

    Raises:
        UserError: methods or datasets are missing.
    """
    missing = [key for key, name in (("methods", "--methods"), ("datasets", "--dataset")) if not values.get(key)]
    if missing:
        flags = " and ".join(f"--{key.removesuffix('s') if key == 'datasets' else key}" for key in missing)
        place = "" if file is None else f" Or add {' and '.join(missing)} to {file}."
        raise UserError(f"Missing option {flags}. Example: stbench run --methods tau --dataset taxibj.{place}")


def _order_of_spec(
    spec: RunSpec, file: Path, over: Mapping[str, Any], given: Collection[str], doing: Mapping[str, Any]
) -> Order:
    """The order to do the run of a ``spec.yaml`` again."""
    changed = [key for key in (*PLAN_KEYS, *TRAINED_FOR, *OWN_DATA) if key in given]
    if changed:
        flag = f"--{changed[0].rstrip('_').replace('_', '-')}"
        raise UserError(
            f"{flag}: {file} is the resolved spec of a run, which has decided this; beside it, --seeds and options of "
            "the machine (--out, --device, --executor …) count. Write an experiment file to change more."
        )
    machine = {key: value for key, value in over.items() if key != "seeds"}
    values = {**described(spec), **machine}
    experiment = Experiment.parse(values, str(file), _origins(over))
    return Order(experiment, (), {}, file=str(file), spec=spec, seeds=over.get("seeds"), doing=doing)


def carry_out(
    order: Order, display: SweepDisplay, executor: Executor | None = None
) -> tuple[tuple[Part, ...], tuple[Ended, ...], Path] | None:
    """Plan, show the plan, and run it; return the plan, how runs ended, and the output folder. None after a dry run.

    ``executor``: the order's, if it is made already.

    Raises:
        UserError: a mistake in the order, or missing data.
    """
    from stbench.cli.costs import agree_to_costs, machine_of
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.sweep.environment import device_name
    from stbench.sweep.estimate import plan_times
    from stbench.sweep.executors import goes_elsewhere, has_own_processes
    from stbench.sweep.launch import Flags, all_specs, check_place, common_precision, plan_parts, rerun_part
    from stbench.train.engine import takes_cuda

    experiment = order.experiment
    if order.spec is not None:
        parts: tuple[Part, ...] = (rerun_part(order.spec, order.seeds, experiment),)
    else:
        flags = Flags(order.training, order.sets)
        parts = plan_parts(experiment, order.opened, flags, order.file)
    specs = all_specs(parts)
    if order.asks("no_test"):
        specs = without_test(specs)
    precision = common_precision(specs)
    executor = executor or experiment.executor.make()
    check_place(specs, experiment, has_own_processes(executor))
    listener = sweep_listener(display, experiment)
    device = "cuda" if takes_cuda(experiment.device, experiment.devices) else "cpu"
    times = plan_times(specs, experiment.out / "runs", device_name(device))
    for part in parts:
        display.plan(part, times)
    dirs = data_dirs(experiment.data_dir)
    if order.asks("download") and not order.asks("dry_run") and not display.is_helper:
        fetch_missing(specs, dirs, yes=order.asks("yes"), allow_http=order.asks("allow_http"))
    if not display.is_helper:
        machine = machine_of(experiment, executor, device)
        agree_to_costs(order, specs, times, machine, display, elsewhere=goes_elsewhere(executor))
    if order.asks("dry_run"):
        note_missing_data(specs, dirs, display)
        return None
    return parts, run_specs(order, specs, precision, listener, executor, display), experiment.out


def without_test(specs: Sequence[RunSpec]) -> tuple[RunSpec, ...]:
    """Return the runs that ``--no-test`` leaves something to do.

    Raises:
        UserError: a run selects its checkpoint on the test split, or none is trained.
    """
    chosen = tuple(spec for spec in specs if spec.training is not None)
    on_test = [spec for spec in chosen if spec.selection == "test"]
    if on_test:
        raise UserError(f"--no-test: protocol {on_test[0].protocol} selects checkpoints on the test split. Use paper.")
    if not chosen:
        raise UserError("--no-test: no method of this command is trained, so nothing is left to do. Leave it out.")
    return chosen


def run_specs(
    order: Order,
    specs: Sequence[RunSpec],
    precision: str,
    listener: SweepListener,
    executor: Any,
    display: SweepDisplay,
) -> tuple[Ended, ...]:
    """Run planned runs below OUT/runs and return how each ended."""
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors import has_own_processes
    from stbench.sweep.sweep import set_aside, sweep
    from stbench.train.engine import Engine

    experiment = order.experiment
    workplace = Workplace(
        root=experiment.out / "runs",
        data_dirs=data_dirs(experiment.data_dir),
        engine=Engine(
            experiment.device, precision, experiment.devices, experiment.nodes, idle=has_own_processes(executor)
        ),
        workers=experiment.workers,
        retry_failed=order.asks("retry_failed"),
        listener=listener,
        loggers=experiment.log,
        executor=experiment.executor.kind,
        test=not order.asks("no_test"),
    )
    try:
        with workplace.engine.watched():
            if order.asks("redo") and workplace.engine.is_main:
                set_aside(specs, workplace.root)
            workplace.engine.barrier()
            ended = sweep(specs, workplace, executor)
            workplace.engine.barrier()  # the last result is written
            return ended
    except KeyboardInterrupt:
        with suppress(OSError, SystemExit):  # rich leaves where whoever read the output is gone
            display.note("Stopped; finished runs are kept. Repeat the command to continue.")
        raise


def sweep_listener(display: SweepDisplay, experiment: Experiment) -> SweepListener:
    """Return the display, the labels and the loggers of a sweep; names are checked before any work."""
    from stbench.events import LOGGERS, SweepFanOut
    from stbench.loggers.sweep_log import SweepLog
    from stbench.registry import foreign_code
    from stbench.sweep.labels import Labeller

    made: list[SweepListener] = []
    for name in experiment.log:
        plugin = LOGGERS.get(name)
        with foreign_code(f"The logger {name!r} cannot be made"):
            made.append(plugin(experiment.out))
    made.append(SweepLog(experiment.out))
    if experiment.name or experiment.tags:
        made.append(Labeller(experiment.out / "runs", experiment.name, experiment.tags))
    return display if display.is_helper else SweepFanOut([display, *made])


def fetch_missing(specs: Sequence[RunSpec], dirs: Sequence[Path], *, yes: bool, allow_http: bool) -> None:
    """Download files of benchmarks that are missing in all data folders.

    Raises:
        UserError: a benchmark is the user's own data, or a download fails.
    """
    from stbench.cli.getting import get
    from stbench.data.benchmarks.folders import note_missing
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark

    for spec in {spec.benchmark: spec for spec in specs}.values():
        if spec.benchmark not in BENCHMARKS.names():
            raise UserError(
                f"--download: {spec.benchmark} is your own data; there is nothing to download. Leave it out."
            )
        if note_missing(spec.benchmark, spec.dataset, dirs):
            benchmark = load_benchmark(spec.benchmark)
            get(benchmark, dirs[0], None, None, {}, yes=yes, allow_http=allow_http)


def note_missing_data(specs: Sequence[RunSpec], dirs: Sequence[Path], display: SweepDisplay) -> None:
    """Report missing data in a plan, which may be made on a machine without them (a cluster's login node)."""
    from stbench.data.benchmarks.folders import note_missing

    notes = dict.fromkeys(note_missing(spec.benchmark, spec.dataset, dirs) for spec in specs)
    for text in filter(None, notes):
        display.note(text)
