"""The cost of a plan, shown before it begins, and the question above two hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from stbench.cli.plain import agree
from stbench.data.benchmarks.folders import data_dirs, note_missing
from stbench.errors import counted
from stbench.report.encode import terminal
from stbench.report.numbers import format_bytes, format_duration, format_work
from stbench.report.writers.terminal import fit
from stbench.sweep.cost import (
    ASK_SECONDS,
    Machine,
    RunCost,
    available_memory,
    memory_shortage,
    run_costs,
    seconds_to_agree,
    total_seconds,
)
from stbench.sweep.sweep import Datasets

if TYPE_CHECKING:
    from stbench.cli.display import SweepDisplay
    from stbench.cli.launch import Order
    from stbench.schema import RunSpec
    from stbench.sweep.estimate import Duration
    from stbench.sweep.experiment import Experiment


def machine_of(experiment: Experiment, executor: Any, device: str) -> Machine:
    """Return where the runs of a command go; an executor may state ``jobs`` at once and ``threads_each``."""
    threads = getattr(executor, "threads_each", torch.get_num_threads())
    jobs = getattr(executor, "jobs", 1)
    return Machine(torch.device(device), max(1, threads // experiment.devices), jobs, experiment.world_size)


def agree_to_costs(
    order: Order,
    specs: Sequence[RunSpec],
    times: Mapping[str, Duration],
    machine: Machine,
    display: SweepDisplay,
    *,
    elsewhere: bool = False,
) -> None:
    """Show what a plan will cost, and ask before more than two hours of training that no budget limits.

    Nothing is timed and nobody is asked in a dry run, and where runs go ``elsewhere``.

    Raises:
        UserError: it takes longer, ``--yes`` is not given, and nobody can be asked.
    """
    dry = order.asks("dry_run") or elsewhere
    dirs = data_dirs(order.experiment.data_dir)
    opened = Datasets(dirs, lambda _: None)
    here = not dry and not any(note_missing(spec.benchmark, spec.dataset, dirs) for spec in specs)
    root = order.experiment.out / "runs"
    costs = run_costs(specs, root, machine, times, opened.get if here else None, display.note)
    show_costs(costs, machine, display)
    if machine.jobs > 1:
        display.note(f"{counted(machine.jobs, 'run')} at once, {counted(machine.threads, 'thread')} each")
    if shortage := memory_shortage(costs, machine, available_memory()):
        display.note(shortage)
    seconds = seconds_to_agree(costs, machine.jobs)
    if dry or seconds <= ASK_SECONDS or order.asks("yes"):
        return
    ways = "--protocol quick takes minutes, --budget 1h limits every run"
    takes = f"This plan takes about {format_duration(seconds)} on this machine"
    agree(f"{takes} ({ways}).\nBegin?", f"{takes}. Repeat the command with --yes to begin; {ways}.")


def show_costs(costs: Sequence[RunCost], machine: Machine, display: SweepDisplay) -> None:
    """Print time, memory and multiply-adds by method, and the total."""
    if not costs:
        return
    groups: dict[tuple[str, str, float | None, int | None], list[RunCost]] = {}
    for cost in costs:
        spec = cost.spec
        groups.setdefault((f"{spec.benchmark} {spec.protocol}", spec.method, cost.seconds, cost.macs), []).append(cost)
    heads = ["dataset, protocol", "method", "runs", "MACs", "step", "memory", "time per run"]
    rows = []
    for (place, method, seconds, macs), same in groups.items():
        step = same[0].step
        time = "" if step is None or step.seconds is None else format_duration(step.seconds)
        memory = "" if step is None or step.peak is None else format_bytes(step.peak)
        if step is not None and step.failure is not None:
            time = step.failure
        known = "" if seconds is None else f"~ {format_duration(seconds)}"
        counts = "" if macs is None else format_work(macs)
        rows.append([place, method, str(len(same)), counts, time, memory, known])
    used = [column for column in (1, 6, 3, 4, 5, 2, 0) if any(row[column] for row in rows)]
    look: dict[str, Any] = {"numbers": False, "box": None, "header_style": "bold", "pad_edge": False}
    title = f"Cost on this machine, {counted(machine.threads, 'thread')} each"
    shown = [[terminal(cell) for cell in row] for row in rows]
    table, _ = fit(heads, shown, used, display.console.width, title=title, **look)
    if table is not None:
        display.console.print(table)
    told = [cost for cost in costs if cost.seconds is not None]
    if told:
        at_once = f", {machine.jobs} at once" if machine.jobs > 1 else ""
        rest = len(costs) - len(told)
        more = f"; {counted(rest, 'run')} not estimated" if rest else ""
        total = format_duration(total_seconds(told, machine.jobs))
        display.note(f"Total of {counted(len(told), 'run')}{at_once}: ~ {total}{more}")
