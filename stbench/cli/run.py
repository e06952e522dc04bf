"""``stbench run``: train and score methods on one dataset under one protocol, and print the table."""

from __future__ import annotations

import re
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.cli import custom
from stbench.cli.getting import AllowHttp, Yes, get
from stbench.errors import UserError, counted
from stbench.settings import parse_overrides
from stbench.sweep.executors import DEFAULT_EXECUTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from stbench.cli.display import SweepDisplay
    from stbench.events import SweepListener
    from stbench.report.analysis.section import Report
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors import Ended, Executor
    from stbench.sweep.plan import Plan


EXIT_NOT_ALL_FINISHED = 1
MANY = "processes"
COMMA_OUTSIDE_BRACKETS = r",(?![^\[]*\])"


class Device(StrEnum):
    """Devices."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class PrecisionOption(StrEnum):
    """Precision of the forward and backward pass."""

    FP32 = "32"
    BF16 = "bf16"


class Encoder(StrEnum):
    """Frame encoder and decoder of methods."""

    PAPER = "paper"
    SHARED = "shared"


ProtocolName = Annotated[str, typer.Option(help="paper | legacy (selects on test) | quick (minutes on a CPU).")]
BudgetText = Annotated[str | None, typer.Option(help="Train every method for the same 10min, 1e15MACs or 20epochs.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="e.g. tau.lr=1e-3, tau.hid_t=128, epochs=3, dataset.stride=5."),
]
ExecutorName = Annotated[str, typer.Option(help="Executor of the runs: local, processes, or an installed one.")]
ExecutorSets = Annotated[
    list[str] | None,
    typer.Option("--executor-set", metavar="KEY=VALUE", help="Setting of the executor, e.g. threads=1."),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Runs at once: short for --executor processes --executor-set jobs=N.")
]


def run_command(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Benchmark name, or a folder of your own.")],
    methods: Annotated[str, typer.Option("--methods", "-m", help="Comma-separated names, e.g. tau,predrnn,tau:no_sa.")],
    protocol: ProtocolName = "paper",
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds, one run each.")] = "0",
    epochs: Annotated[int | None, typer.Option(min=1, help="Overrides the protocol's.")] = None,
    budget: BudgetText = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch size; overrides the protocol's.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Stop after this many epochs without progress.")] = None,
    set_: Sets = None,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, max=128, help="Data-parallel processes on this machine.")] = 1,
    precision: Annotated[PrecisionOption | None, typer.Option(help="32 or bf16 autocast.")] = None,
    encoder: Annotated[Encoder, typer.Option(help="The encoder of each paper, or one for all.")] = Encoder.PAPER,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Loader processes.")] = 0,
    out: Annotated[Path, typer.Option(help="Output folder: OUT/runs/ for runs, OUT/ for the table.")] = Path("results"),
    log: Annotated[list[str] | None, typer.Option(help="Logger of epochs and results, e.g. csv.")] = None,
    executor: ExecutorName = DEFAULT_EXECUTOR,
    download: Annotated[bool, typer.Option("--download", help="Download missing files first.")] = False,
    yes: Yes = False,
    allow_http: AllowHttp = False,
    executor_set: ExecutorSets = None,
    jobs: Jobs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Repeat failed runs.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Repeat finished runs; old folders stay, hidden.")] = False,
    t_in: custom.TIn = None,
    t_out: custom.TOut = None,
    stride: custom.Stride = None,
    split: custom.Split = None,
    size: custom.Size = None,
    variable: custom.Variable = None,
    layout: custom.Layout = None,
    level: custom.Level = None,
    fill: custom.Fill = None,
    scale: custom.Scale = None,
) -> None:
    """Train and score methods on one dataset under one protocol; repeat the command to resume.

    Exit code: 0 if all runs finished, 1 if one failed, is unfinished or is run by another process, 2 for a mistake,
    130 if stopped.
    """
    own = {"t_in": t_in, "t_out": t_out, "stride": stride, "split": split, "size": size, "level": level, "fill": fill}
    chosen = custom.resolve_dataset(dataset, **own, variable=variable, layout=layout, scale=scale)
    from stbench.cli.display import SweepDisplay  # late: mistakes above need no torch
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
    names = (tuple(log or ()), executor if jobs is None else MANY)
    workplace = Workplace(out / "runs", data_dirs(data_dir), engine, workers, retry_failed, listener, *names)
    ended = _carry_out(plan, workplace, runner, display, redo=redo)
    if engine.is_main and _show(plan, ended, out, display):
        raise typer.Exit(EXIT_NOT_ALL_FINISHED)


def _listener(display: SweepDisplay, loggers: Sequence[str], out: Path) -> SweepListener:
    """Return the display and the loggers of a run; names are checked before any work."""
    from stbench.events import LOGGERS, SweepFanOut
    from stbench.registry import foreign_code

    made = []
    for name in loggers:
        plugin = LOGGERS.get(name)
        with foreign_code(f"The logger {name!r} cannot be made"):
            made.append(plugin(out))
    return display if display.is_quiet else SweepFanOut([display, *made])


def _carry_out(
    plan: Plan, workplace: Workplace, executor: Executor, display: SweepDisplay, *, redo: bool
) -> tuple[Ended, ...]:
    from stbench.sweep.sweep import set_aside, sweep

    if redo and workplace.engine.is_main:
        set_aside(plan.specs, workplace.root)
    workplace.engine.barrier()
    try:
        return sweep(plan.specs, workplace, executor)
    except KeyboardInterrupt:
        with suppress(OSError, SystemExit):  # rich leaves where whoever read the output is gone
            display.note("Stopped; finished runs are kept. Repeat the command to continue.")
        raise


def _fetch_missing(plan: Plan, dirs: Sequence[Path], *, yes: bool, allow_http: bool) -> None:
    """Download files of a plan's benchmarks that are missing in all data folders."""
    from stbench.data.benchmarks.folders import note_missing
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark

    for spec in {spec.benchmark: spec for spec in plan.specs}.values():
        if spec.benchmark not in BENCHMARKS.names():
            raise UserError(
                f"--download: {spec.benchmark} is your own data; there is nothing to download. Leave it out."
            )
        if note_missing(spec.benchmark, spec.dataset, dirs):
            benchmark = load_benchmark(spec.benchmark)
            get(benchmark, dirs[0] / spec.benchmark, None, None, {}, yes=yes, allow_http=allow_http)


def _note_missing_data(plan: Plan, dirs: Sequence[Path], display: SweepDisplay) -> None:
    """Report missing data in a plan, which may be made on a machine without them (a cluster's login node)."""
    from stbench.data.benchmarks.folders import note_missing

    notes = dict.fromkeys(note_missing(spec.benchmark, spec.dataset, dirs) for spec in plan.specs)
    for text in filter(None, notes):
        display.note(text)


def _show(plan: Plan, ended: Sequence[Ended], out: Path, display: SweepDisplay) -> int:
    """Print the tables of a plan's runs and write those of all runs; return the number of runs without a result."""
    from stbench.report.analysis.section import make_report
    from stbench.report.collect.odd import without_odd
    from stbench.report.collect.records import Collected, collect
    from stbench.report.writers.csv import to_csv
    from stbench.report.writers.markdown import to_markdown
    from stbench.report.writers.terminal import to_rich
    from stbench.schema.folder import write_text

    names = [spec.folder for spec in plan.specs]

    def made(shown: Collected) -> tuple[Report, dict[str, str], list[RenderableType]]:
        report = make_report(shown)
        texts = {"table.md": to_markdown(report, out), "table.csv": to_csv(report.records)}
        return report, texts, [to_rich(table, display.console.width) for table in report.tables_of(names)]

    report, texts, tables = without_odd(collect([out / "runs"], first=names), made, made)
    for table in tables:
        display.console.print(table)
    own = {record.name: record for record in report.records if record.name in names}
    failed = sum(not record.finished for record in own.values())
    unfinished = sum(run.outcome == "unfinished" for run in ended)
    busy = len(names) - len(own) - unfinished
    told = [
        (failed, "failed; see error.txt in the run folder. To repeat failed runs, add --retry-failed."),
        (unfinished, "unfinished, for the reason above. Repeat the command to continue."),
        (busy, "not in the table: another process is working on it. Repeat the command later to show it."),
    ]
    for count, what in told:
        if count > 0:
            display.note(f"{count} of {counted(len(names), 'run')} {what}")
    for file, text in texts.items():
        write_text(out / file, text)
    display.note(f"Written: {out / 'table.md'}, {out / 'table.csv'} (all runs in {out / 'runs'})")
    return len(names) - len(own) + failed


def _check_place(plan: Plan, devices: int, out: Path) -> None:
    """Check that batches divide among processes, and that the output is not a file."""
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
    """Return the precision of a plan, which must be the same for all runs, because an engine has one."""
    found = {spec.training.precision for spec in plan.specs if spec.training is not None}
    if len(found) > 1:
        raise UserError(f"A command has one precision, but the methods ask for {sorted(found)}. Give --precision.")
    return found.pop() if found else "32"


def _names(text: str) -> list[str]:
    names = [name.strip() for name in re.split(COMMA_OUTSIDE_BRACKETS, text) if name.strip()]
    if not names:
        raise UserError("--methods is empty. Name at least one, e.g. --methods tau,predrnn.")
    for plugin in dict.fromkeys(name.partition(":")[0] for name in names):
        _check_installed(plugin)
    return names


def _check_installed(plugin: str) -> None:
    """Report an unknown method with a package of its name in this folder, which is probably not installed yet."""
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
    if min(seeds) < 0 or max(seeds) >= 1 << 63 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text!r}: seeds must be different, non-negative numbers below 2^63.")
    return seeds
