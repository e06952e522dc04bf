"""``stbench run``: train and score methods on one dataset under one protocol, and print the table."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.cli import custom
from stbench.cli.getting import AllowHttp, Yes, get
from stbench.errors import UserError
from stbench.settings import parse_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stbench.cli.display import SweepDisplay
    from stbench.events import SweepListener
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors import Executor
    from stbench.sweep.plan import Plan


EXIT_NOT_ALL_FINISHED = 1
DEFAULT_EXECUTOR = "local"
MANY = "processes"
COMMA_OUTSIDE_BRACKETS = r",(?![^\[]*\])"


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class PrecisionOption(StrEnum):
    """Arithmetic of the forward and backward pass."""

    FP32 = "32"
    BF16 = "bf16"


class Encoder(StrEnum):
    """Which frame encoder/decoder methods use."""

    PAPER = "paper"
    SHARED = "shared"


def run_command(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Benchmark name, or a folder of your own.")],
    methods: Annotated[str, typer.Option("--methods", "-m", help="Comma-separated names, e.g. tau,predrnn,tau:no_sa.")],
    protocol: Annotated[
        str, typer.Option(help="paper | legacy (selects on test) | quick (minutes on a CPU).")
    ] = "paper",
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds, one run each.")] = "0",
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the protocol's.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Train every method for the same 10min, 1e15MACs or 20epochs.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch, instead of the protocol's.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Stop after so many epochs without progress.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="e.g. tau.lr=1e-3, tau.hid_t=128, epochs=3, dataset.stride=5."),
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes CUDA when there is one.")] = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, help="Data-parallel processes on this machine.")] = 1,
    precision: Annotated[PrecisionOption | None, typer.Option(help="32 or bf16 autocast.")] = None,
    encoder: Annotated[Encoder, typer.Option(help="Each method's own, or the same for all.")] = Encoder.PAPER,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files; else $STBENCH_DATA.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 0,
    out: Annotated[Path, typer.Option(help="Results go to OUT/runs/, the table to OUT/.")] = Path("results"),
    log: Annotated[list[str] | None, typer.Option(help="Logger that hears of epochs and results, e.g. csv.")] = None,
    executor: Annotated[
        str, typer.Option(help="Who runs the runs: local, processes, or an installed one.")
    ] = DEFAULT_EXECUTOR,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files first if they are missing.")] = False,
    yes: Yes = False,
    allow_http: AllowHttp = False,
    executor_set: Annotated[
        list[str] | None,
        typer.Option("--executor-set", metavar="KEY=VALUE", help="Setting of the executor, e.g. threads=1."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at once: short for --executor processes --executor-set jobs=N.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do failed runs again.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Do finished runs again; the old folders stay, hidden.")] = False,
    t_in: custom.TIn = None,
    t_out: custom.TOut = None,
    stride: custom.Stride = None,
    split: custom.Split = None,
    size: custom.Size = None,
    variable: custom.Variable = None,
    layout: custom.Layout = None,
    scale: custom.Scale = None,
) -> None:
    """Train and score methods on one dataset under one protocol; the same command again resumes.

    Exit code: 0 when every run finished, 1 when one failed or is another process's, 2 for a mistake, 130 when stopped.
    """
    own = {"t_in": t_in, "t_out": t_out, "stride": stride, "split": split, "size": size}
    chosen = custom.resolve_dataset(dataset, **own, variable=variable, layout=layout, scale=scale)
    from stbench.cli.display import SweepDisplay  # after the choice: a mistake in it does not wait for torch
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.sweep.environment import device_name
    from stbench.sweep.estimate import plan_times
    from stbench.sweep.execute import Workplace
    from stbench.sweep.plan import Request, make_plan
    from stbench.train.engine import Engine, takes_cuda

    flags = {"epochs": epochs, "budget": budget, "batch_size": batch_size, "patience": patience}
    flags |= {"precision": precision and precision.value}
    training = {key: value for key, value in flags.items() if value is not None}
    overrides = parse_overrides(set_)
    plan = make_plan(
        Request(_names(methods), chosen, protocol, _seeds(seeds), training, overrides, encoder=encoder.value)
    )
    precision_name = _precision(plan)
    _check_place(plan, devices, out)
    runner = _executor(executor, executor_set or [], jobs, devices)
    display = SweepDisplay()
    listener = _listener(display, log or [], out)
    uses_cuda = takes_cuda(device.value, devices)
    display.plan(plan, plan_times(plan.specs, out / "runs", device_name("cuda" if uses_cuda else "cpu")))
    if dry_run:
        _note_missing_data(plan, data_dirs(data_dir), display)
        return
    if download:
        _fetch_missing(plan, data_dirs(data_dir), yes=yes, allow_http=allow_http)
    engine = Engine(device.value, precision_name, devices)
    workplace = Workplace(out / "runs", data_dirs(data_dir), engine, workers, retry_failed, listener)
    _carry_out(plan, workplace, runner, display, redo=redo)
    if engine.is_main and _show(plan, out, display):
        raise typer.Exit(EXIT_NOT_ALL_FINISHED)


def _listener(display: SweepDisplay, loggers: Sequence[str], out: Path) -> SweepListener:
    """The terminal and the loggers of a run, whose names are checked before anything is done."""
    from stbench.events import LOGGERS, SweepFanOut

    made = [LOGGERS.get(name)(out) for name in loggers]
    return display if display.is_quiet else SweepFanOut([display, *made])


def _carry_out(plan: Plan, workplace: Workplace, executor: Executor, display: SweepDisplay, *, redo: bool) -> None:
    from stbench.sweep.sweep import set_aside, sweep

    if redo and workplace.engine.is_main:
        set_aside(plan.specs, workplace.root)
    workplace.engine.barrier()
    try:
        sweep(plan.specs, workplace, executor)
    except KeyboardInterrupt:
        display.note("Stopped; finished runs are kept. The same command goes on from here.")
        raise


def _fetch_missing(plan: Plan, dirs: Sequence[Path], *, yes: bool, allow_http: bool) -> None:
    """Get the files of a plan's benchmarks that are in none of the data folders."""
    from stbench.data.benchmarks.folders import note_missing
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark

    for spec in {spec.benchmark: spec for spec in plan.specs}.values():
        if spec.benchmark not in BENCHMARKS.names():
            raise UserError(
                f"--download: {spec.benchmark} is data of your own; there is nothing to fetch. Leave it out."
            )
        if note_missing(spec.benchmark, spec.dataset, dirs):
            benchmark = load_benchmark(spec.benchmark)
            get(benchmark, dirs[0] / spec.benchmark, None, None, {}, yes=yes, allow_http=allow_http)


def _note_missing_data(plan: Plan, dirs: Sequence[Path], display: SweepDisplay) -> None:
    """A plan may be made where the data are not, on a cluster's login node say; it says so."""
    from stbench.data.benchmarks.folders import note_missing

    notes = dict.fromkeys(note_missing(spec.benchmark, spec.dataset, dirs) for spec in plan.specs)
    for text in filter(None, notes):
        display.note(text)


def _show(plan: Plan, out: Path, display: SweepDisplay) -> int:
    """Print the tables of a plan's runs and write those of all; returns how many runs have no numbers."""
    from stbench.report.analysis.section import make_report
    from stbench.report.collect.records import collect
    from stbench.report.writers.csv import to_csv
    from stbench.report.writers.markdown import to_markdown
    from stbench.schema.folder import write_text

    names = [spec.folder for spec in plan.specs]
    report = make_report(collect([out / "runs"], first=names))
    write_text(out / "table.md", to_markdown(report, out))
    write_text(out / "table.csv", to_csv(report.records))
    display.table(report.tables_of(names), out)
    own = {record.name: record for record in report.records if record.name in names}
    failed = sum(not record.finished for record in own.values())
    if failed:
        display.note(f"{failed} of {len(names)} runs failed; see error.txt in their folders, or --retry-failed.")
    busy = len(names) - len(own)
    if busy:
        display.note(
            f"{busy} of {len(names)} runs are not in the table: another process is working on them. "
            "The same command shows them when they are done."
        )
    return failed + busy


def _check_place(plan: Plan, devices: int, out: Path) -> None:
    """Refuse processes that the batches do not divide among, and a file as output folder."""
    from stbench.sweep.plan import check_devices
    from stbench.sweep.sweep import check_out

    check_devices(plan.specs, devices)
    check_out(out / "runs")


def _executor(name: str, settings: Sequence[str], jobs: int | None, devices: int) -> Executor:
    """Who runs the runs; ``--jobs`` chooses processes."""
    from stbench.sweep.executors import get_executor

    values: dict[str, Any] = {override.key: override.value for override in parse_overrides(settings)}
    if jobs is not None:
        if name not in (DEFAULT_EXECUTOR, MANY) or "jobs" in values:
            raise UserError(f"--jobs {jobs} means --executor {MANY} --executor-set jobs={jobs}. Give one or the other.")
        name, values["jobs"] = MANY, jobs
    if name == MANY and devices > 1:
        raise UserError(f"--devices {devices}: with {MANY}, each run has one device. Leave one of the two out.")
    return get_executor(name, values)


def _precision(plan: Plan) -> str:
    """The one precision of a plan; an engine has one."""
    found = {spec.training.precision for spec in plan.specs if spec.training is not None}
    if len(found) > 1:
        raise UserError(f"One run uses one precision, the methods ask for {sorted(found)}. Give --precision.")
    return found.pop() if found else "32"


def _names(text: str) -> list[str]:
    names = [name.strip() for name in re.split(COMMA_OUTSIDE_BRACKETS, text) if name.strip()]
    if not names:
        raise UserError("--methods is empty. Name at least one, e.g. --methods tau,predrnn.")
    for plugin in dict.fromkeys(name.partition(":")[0] for name in names):
        _check_installed(plugin)
    return names


def _check_installed(plugin: str) -> None:
    """A name that is unknown while a package of that name lies here was most likely not installed yet."""
    from stbench.nn import METHODS

    if plugin not in METHODS.names() and (Path(plugin) / "pyproject.toml").is_file():
        raise UserError(
            f"The method {plugin!r} is not installed; its package is the folder {plugin}. Run: pip install -e {plugin}"
        )


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds {text!r}: expected whole numbers, e.g. --seeds 0,1,2.") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text!r}: seeds must be different numbers from 0 on.")
    return seeds
