"""The work of ``stbench tune``: search, show what was found, and run the best settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stbench.cli.launch import EXIT_NOT_ALL_FINISHED, fetch_missing, note_missing_data, run_specs, sweep_listener
from stbench.cli.search_order import SearchOrder, nested, read_limit, read_search
from stbench.errors import UserError, counted
from stbench.settings import merge, put

if TYPE_CHECKING:
    from stbench.cli.display import SweepDisplay
    from stbench.schema import RunSpec
    from stbench.schema.trial import Trial, Tuned
    from stbench.sweep.tune.study import Study

ELSEWHERE_AT_ONCE = 8
"""Trials at once on a cluster, whose executor states no number: with more, each would know less of the others."""


def tune(options: Mapping[str, Any], given: Collection[str]) -> None:
    """Carry out ``stbench tune``.

    Args:
        options: the command's options by parameter name.
        given: names of those on the command line.
    """
    from stbench.sweep.tune.study import check_optuna

    limit = read_limit(options["trials"], options["budget"])
    check_optuna()
    asked = read_search(options, given, limit)
    from stbench.cli.display import SweepDisplay

    display = SweepDisplay(quiet=bool(options["quiet"]))
    base = {method: asked.trial(method, {}) for method in asked.spaces}
    with locked(asked.folder, dry_run=asked.order.asks("dry_run")):
        studies = _studies(asked, base)
        _agree(asked, base, studies, display)
        if asked.order.asks("dry_run"):
            return
        trials, stopped = _search(asked, base, studies, display)
        tuned = asked.tuned(trials)
        _show(tuned, asked, display)
    lost = [method for method in asked.spaces if tuned.best(method) is None]
    for method in asked.spaces:
        if method in stopped:
            display.note(f"{method}: not all trials are done: {stopped[method].rstrip('.')}. Repeat the command.")
        elif method in lost:
            display.note(f"{method}: no trial finished; the reasons are in {asked.folder / 'trials.csv'}.")
    missing = 0
    if asked.seeds and not stopped and len(lost) < len(asked.spaces):
        missing = _run_best(asked, tuned, display)
    elif not asked.seeds:
        display.note("The test split was left alone. The same command without --no-final trains and scores the best.")
    if missing or lost or stopped:
        raise typer.Exit(EXIT_NOT_ALL_FINISHED)


@contextmanager
def locked(folder: Path, *, dry_run: bool) -> Iterator[None]:
    """Hold a search's folder for this process; a dry run makes and holds nothing.

    Raises:
        UserError: another process has it, or it cannot be made.
    """
    from stbench.schema.atomic import lock
    from stbench.sweep.sweep import check_out, check_writable

    check_out(folder)
    if dry_run:
        yield
        return
    check_writable(folder)
    with lock(folder / ".lock") as mine:
        if not mine:
            raise UserError(
                f"Another stbench tune works in {folder}. Wait for it, or choose another folder with --out."
            )
        yield


def _studies(asked: SearchOrder, base: Mapping[str, RunSpec]) -> dict[str, Study]:
    from stbench.sweep.tune.study import Study, open_journal

    storage = open_journal(None if asked.order.asks("dry_run") else asked.folder)
    return {
        method: Study(storage, method, space, asked.searcher, base[method].run_id)
        for method, space in asked.spaces.items()
    }


def _agree(
    asked: SearchOrder, base: Mapping[str, RunSpec], studies: Mapping[str, Study], display: SweepDisplay
) -> None:
    """Show the plan of a search and its cost with unvaried settings, and ask where that is long.

    Raises:
        UserError: it is long and nobody can be asked, data are missing, or work cannot be counted.
    """
    from stbench.cli.costs import agree_to_costs, machine_of
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.efficiency.macs import macs_of
    from stbench.sweep.executors import goes_elsewhere
    from stbench.train.engine import takes_cuda

    order, limit = asked.order, asked.limit
    experiment = order.experiment
    dirs = data_dirs(experiment.data_dir)
    display.note(f"Search: {limit} for each method, by {asked.searcher}; validation alone is scored, never test")
    costed: list[RunSpec] = []
    for method, spec in base.items():
        if limit.budget is not None and limit.budget.kind == "macs" and macs_of(spec) is None:
            raise UserError(f"--budget: the MACs of {method} cannot be counted. Use --budget 2h or --trials.")
        ended = studies[method].count - len(studies[method].open_numbers())
        varied = ", ".join(f"{key} {domain}" for key, domain in asked.spaces[method].items())
        display.note(f"{method}: {counted(ended, 'trial')} done; varied: {varied}")
        left = 1 if limit.trials is None else max(0, limit.trials - ended)
        costed += [spec.model_copy(update={"seed": (1 << 62) + number}) for number in range(left)]
        costed += [spec.model_copy(update={"seed": seed}) for seed in asked.seeds]
    if limit.trials is None:
        display.note(f"Costs below: one trial and {counted(len(asked.seeds), 'final run')} of each method")
    else:
        display.note("Costs below: all trials and final runs with unvaried settings; others cost more or less")
    if order.asks("download") and not order.asks("dry_run"):
        fetch_missing(list(base.values()), dirs, yes=order.asks("yes"), allow_http=order.asks("allow_http"))
    executor = experiment.executor.make()
    device = "cuda" if takes_cuda(experiment.device, experiment.devices) else "cpu"
    machine = machine_of(experiment, executor, device)
    agree_to_costs(order, costed, {}, machine, display, elsewhere=goes_elsewhere(executor))
    if order.asks("dry_run"):
        note_missing_data(costed, dirs, display)


def _search(
    asked: SearchOrder, base: Mapping[str, RunSpec], studies: Mapping[str, Study], display: SweepDisplay
) -> tuple[tuple[Trial, ...], dict[str, str]]:
    """Do all trials; return them, and the methods that a fault of the machine stopped, with the reason."""
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.events import SweepFanOut
    from stbench.loggers.sweep_log import SweepLog
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors import goes_elsewhere, has_own_processes
    from stbench.sweep.launch import check_place, common_precision
    from stbench.sweep.tune.search import Search
    from stbench.train.engine import Engine

    experiment = asked.order.experiment
    executor = experiment.executor.make()
    specs = list(base.values())
    check_place(specs, experiment, has_own_processes(executor))
    usual: int = getattr(executor, "jobs", ELSEWHERE_AT_ONCE if goes_elsewhere(executor) else 1)
    workplace = Workplace(
        root=asked.folder / "runs",
        data_dirs=data_dirs(experiment.data_dir),
        engine=Engine(experiment.device, common_precision(specs), idle=has_own_processes(executor)),
        workers=experiment.workers,
        listener=SweepFanOut([display, SweepLog(asked.folder)]),
        executor=experiment.executor.kind,
        test=False,
    )
    search = Search(studies, asked.trial, asked.limit, workplace, executor, asked.at_once or usual)
    try:
        trials = search.run()
    except KeyboardInterrupt:
        with suppress(OSError, SystemExit):
            display.note("Stopped; finished trials are kept. Repeat the command to continue.")
        raise
    return trials, search.stopped


def _show(tuned: Tuned, asked: SearchOrder, display: SweepDisplay) -> None:
    """Print the best settings and write tables, figure and record."""
    from stbench.report.produce import write_tuned
    from stbench.report.writers.terminal import sheet_rich
    from stbench.report.writers.tune import best_sheet

    display.console.print(sheet_rich(best_sheet(tuned)))
    written = write_tuned(tuned, asked.folder)
    display.note(f"Written: {', '.join(map(str, written))}")


def _run_best(asked: SearchOrder, tuned: Tuned, display: SweepDisplay) -> int:
    """Train the best settings of every method with the final seeds, score them, and show the table.

    Return the number of runs without a result.
    """
    from stbench.cli.tables import show
    from stbench.sweep.launch import Part, common_precision

    experiment = asked.order.experiment
    best = {method: trial.settings for method in asked.spaces if (trial := tuned.best(method)) is not None}
    parts = [part for method, settings in best.items() for part in asked.parts(method, settings, asked.seeds)]
    specs = {spec.folder: spec for part in parts for spec in part.specs}
    whole = Part(f"{parts[0].title}, best settings of each method", tuple(specs.values()), parts[0].skipped)
    display.plan(whole, {})
    if isinstance(asked.order.opened[0][1], str):  # a benchmark: its name says what the data are
        file = _write_best(asked, nested(best))
        display.note(f"The same runs as an experiment file: stbench run --config {file}")
    executor = experiment.executor.make()
    listener = sweep_listener(display, experiment)
    ended = run_specs(asked.order, whole.specs, common_precision(whole.specs), listener, executor, display)
    return show([whole], ended, experiment.out, display)


def _write_best(asked: SearchOrder, best: Mapping[str, Any]) -> Path:
    """Write the final runs as an experiment file; settings of a method come before those of its variants."""
    import yaml

    from stbench.schema.folder import write_text

    experiment = asked.order.experiment
    settings: dict[str, Any] = {}
    for override in asked.order.sets:
        put(settings, override.key.split("."), override.value)
    settings = merge(settings, best)
    values = {
        "methods": list(best),
        "datasets": [choice.model_dump(mode="json", exclude_defaults=True) for choice in experiment.datasets],
        "protocols": list(experiment.protocols),
        "seeds": list(asked.seeds),
        "encoder": experiment.encoder,
        **experiment.training_keys(),
        "settings": dict(sorted(settings.items(), key=lambda item: ":" in item[0])),
    }
    file = asked.folder / "best.yaml"
    write_text(file, yaml.safe_dump(values, sort_keys=False))
    return file
