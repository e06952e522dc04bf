"""How the processes of a command were started: by torchrun, by srun, by stbench itself, or alone. Imports no torch."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stbench.errors import UserError, counted

OWN = "STBENCH_GROUP"
"""Set in the processes that stbench itself starts beside the first."""
QUIET_LOG = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Environment in which torch writes no C++ stack where a store is gone; read when torch is imported."""
OTHER_LAUNCHERS = (("WORLD_SIZE", "RANK"), ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK"))
"""Number of processes and number of this one, as launchers that are not used here state them."""
_EVEN = re.compile(r"\d+(\(x\d+\))?")


@dataclass(frozen=True)
class Launch:
    """This process among the data-parallel processes of a command.

    Attributes:
        by: what started them.
        world_size: number of processes.
        rank: number of this one, from 0.
        local_rank: its number on its node.
        nodes: number of nodes (machines).
        node: number of this one.
        even: whether every node has the same number of processes.
    """

    by: Literal["stbench", "torchrun", "srun"]
    world_size: int
    rank: int
    local_rank: int
    nodes: int = 1
    node: int = 0
    even: bool = True

    @property
    def speaks_early(self) -> bool:
        """True if this process reports a mistake that it makes before it has met the others.

        The first process of a node speaks for those that see the same files. What stbench started itself has passed
        all checks of the first process already, so its mistakes are its own.
        """
        return self.local_rank == 0 or self.by == "stbench"


def read_launch() -> Launch | None:
    """Return this process's place among others; None if it was started alone.

    Raises:
        UserError: a launcher's variable is no whole number.
    """
    if OWN in os.environ:
        found = Launch("stbench", _number("WORLD_SIZE", 1), _number("RANK"), _number("LOCAL_RANK"))
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        found = Launch(
            by="torchrun",
            world_size=_number("WORLD_SIZE", 1),
            rank=_number("RANK"),
            local_rank=_number("LOCAL_RANK"),
            nodes=_number("GROUP_WORLD_SIZE", 1),
            node=_number("GROUP_RANK"),
            even=_number("LOCAL_WORLD_SIZE", 1) * _number("GROUP_WORLD_SIZE", 1) == _number("WORLD_SIZE", 1),
        )
    elif "SLURM_STEP_ID" in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        found = Launch(
            by="srun",
            world_size=_number("SLURM_STEP_NUM_TASKS", 1),
            rank=_number("SLURM_PROCID"),
            local_rank=_number("SLURM_LOCALID"),
            nodes=_number("SLURM_STEP_NUM_NODES", 1),
            node=_number("SLURM_NODEID"),
            even=_EVEN.fullmatch(os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1")) is not None,
        )
    else:
        return None
    return found if found.world_size > 1 else None


def is_helper() -> bool:
    """Return whether another process of the same command prints.

    Raises:
        UserError: a launcher's variable is no whole number.
    """
    launch = read_launch()
    if launch is not None:
        return launch.rank > 0
    return any(_number(count, 1) > 1 and _number(rank) > 0 for count, rank in OTHER_LAUNCHERS)


def reports_mistakes() -> bool:
    """Return whether this process prints a mistake that it finds before it has met the others."""
    try:
        launch = read_launch()
        return not is_helper() if launch is None else launch.rank == 0 or launch.speaks_early
    except UserError:
        return True


def check_launch(devices: int, nodes: int, *, needs_all: bool = True) -> None:
    """Refuse processes that were started and would not be used: each would do the whole work once more.

    Args:
        devices: data-parallel processes on each node.
        nodes: machines.
        needs_all: whether a SLURM job of several tasks must use them all.

    Raises:
        UserError: the processes that were started are not ``devices`` × ``nodes``.
    """
    launch = read_launch()
    if launch is None:
        _check_alone(devices, nodes, needs_all=needs_all)
        return
    if launch.by == "stbench":
        return
    started = f"{launch.by} started {counted(launch.world_size, 'process', 'processes')}"
    each, rest = divmod(launch.world_size, launch.nodes)
    if rest or not launch.even:
        option = "--ntasks-per-node" if launch.by == "srun" else "--nproc-per-node"
        raise UserError(
            f"{started} on {counted(launch.nodes, 'node')}, not equally many on each. "
            f"Give every node the same number with {option}={each}."
        )
    if (launch.nodes, each) != (nodes, devices):
        used = counted(devices * nodes, "process", "processes")
        launcher = (
            f"srun --nodes={launch.nodes} --ntasks-per-node={each} stbench"
            if launch.by == "srun"
            else f"torchrun --nnodes={launch.nodes} --nproc-per-node={each} -m stbench"
        )
        raise UserError(
            f"{started} on {counted(launch.nodes, 'node')}, but --devices {devices} and --nodes {nodes} "
            f"make {used}. Use: {launcher} {_arguments(each, launch.nodes)}"
        )


def _check_alone(devices: int, nodes: int, *, needs_all: bool) -> None:
    """Refuse a single process where several were meant."""
    torchrun = f"torchrun --nnodes={nodes} --nproc-per-node={devices} -m stbench {_arguments(devices, nodes)}"
    for count, _ in OTHER_LAUNCHERS:
        if _number(count, 1) > 1:
            raise UserError(
                f"{count} is {os.environ[count]}, but neither torchrun nor srun started this process: every process "
                f"would do the whole work. Use: {torchrun}  (or, for a process by itself: unset {count})"
            )
    if nodes > 1:
        raise UserError(f"--nodes {nodes}: nothing started this command on other nodes. On each, use: {torchrun}")
    tasks = _number("SLURM_NTASKS", 1)
    if needs_all and tasks > 1 and tasks != devices:
        machines = _number("SLURM_NNODES", 1)
        each = max(1, tasks // machines)
        raise UserError(
            f"This SLURM job has {tasks} tasks, but the command was not started with srun: "
            f"{counted(devices, 'process', 'processes')} would do the work. Use: srun --ntasks-per-node={each} stbench "
            f"{_arguments(each, machines)}  (or, for a process by itself: unset SLURM_NTASKS)"
        )


def _arguments(devices: int, nodes: int) -> str:
    """Return this command's arguments with these numbers of processes."""
    kept: list[str] = []
    given: Sequence[str] = sys.argv[1:] if sys.argv[1:2] == ["run"] else ["run", "…"]
    skip = False
    for argument in given:
        if skip or argument.startswith(("--devices=", "--nodes=")):
            skip = False
        elif argument in ("--devices", "--nodes"):
            skip = True
        else:
            kept.append(argument if argument == "…" else shlex.quote(argument))
    return " ".join([*kept, f"--devices {devices}", *([f"--nodes {nodes}"] if nodes > 1 else [])])


def _number(variable: str, default: int = 0) -> int:
    """Return a launcher's number in the environment.

    Raises:
        UserError: it is no whole number.
    """
    text = os.environ.get(variable) or str(default)
    try:
        return int(text)
    except ValueError:
        raise UserError(
            f"The environment variable {variable} is {text!r}, not a whole number: launchers such as torchrun set it. "
            f"Remove it: unset {variable}"
        ) from None
