"""A data-parallel group of two processes on this machine (gloo) that trains a method for a few steps.

The processes are forked from a server that has already imported torch, so a group starts in a fraction of a second.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from stbench.conformance.locate import Location, find_class, locate
from stbench.conformance.outcome import ViolationError
from stbench.conformance.subject import Subject, progress
from stbench.schema import ClipShape
from stbench.train import LATE_IMPORTS
from stbench.train.engine import Engine
from stbench.train.fork_server import start_fork_server
from stbench.train.group import leave_group
from stbench.train.launch import OWN

GROUP = 2
STEPS = 2
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Job:
    """Description of a subject from which another process can rebuild it."""

    name: str
    location: Location
    shape: ClipShape
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, subject: Subject) -> Job:
        """Return the job of a subject.

        Raises:
            NotApplicableError: another process could not import the method's class.
        """
        return cls(subject.name, locate(subject.method_class), subject.shape, dict(subject.settings))

    def subject(self) -> Subject:
        """Rebuild the subject in this process."""
        return Subject(self.name, find_class(self.location), (self.shape,), self.settings)


class GradientKeeper(torch.optim.Optimizer):
    """An optimiser that records the gradients of its first step and does not change the weights."""

    def __init__(self, named: Mapping[str, torch.nn.Parameter]) -> None:
        super().__init__(list(named.values()), {})
        self.named = named
        self.kept: dict[str, Tensor] = {}

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Copy the gradients at the first call."""
        if not self.kept:
            self.kept = {name: p.grad.clone() for name, p in self.named.items() if p.grad is not None}


def gradients_in_group(job: Job) -> dict[str, Tensor]:
    """Return the gradients, by parameter name, of a training step shared by two processes.

    Raises:
        ViolationError: a process raised, died or did not finish in time.
    """
    context = _context()
    with TemporaryDirectory() as folder:
        port = _free_port()
        processes = [
            context.Process(target=_work, args=(job, rank, port, folder), daemon=True)  # type: ignore[attr-defined]
            for rank in range(GROUP)
        ]
        for process in processes:
            process.start()
        try:
            finished = _wait(processes)
        finally:
            for process in processes:
                process.kill()
                process.join()
        errors = [path.read_text() for path in sorted(Path(folder).glob("*.txt"))]
        if errors or not finished:
            raise _failure(errors, [process.exitcode for process in processes])
        return torch.load(Path(folder) / "gradients.pt", weights_only=True)  # type: ignore[no-any-return]


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    return start_fork_server(__name__, *LATE_IMPORTS)


def _wait(processes: list[Any]) -> bool:
    """Wait until all processes succeed, one fails or time is up; return whether all succeeded."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        codes = [process.exitcode for process in processes]
        if any(code not in (None, 0) for code in codes):
            return False
        if all(code == 0 for code in codes):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _failure(errors: list[str], codes: list[int | None]) -> ViolationError:
    lines = [line.strip() for line in errors[0].splitlines() if line.strip()] if errors else []
    unused = any("finished reduction" in error for error in errors)
    return ViolationError(
        f"{STEPS} training steps in {GROUP} processes",
        lines[0].partition(". ")[0] if lines else f"a process hung or died (exit codes {codes})",
        "a parameter that only some steps or some processes use; use every parameter in every step"
        if unused
        else "code that runs in one process only, or a tensor on the module that is neither a parameter nor a buffer",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _work(job: Job, rank: int, port: int, folder: str) -> None:
    """Run one process of the group: train on its half of the batch as the training loop does."""
    torch.set_num_threads(1)
    os.environ.update(
        {
            OWN: "1",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(GROUP),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    )
    try:
        kept = _steps(job, rank)
        if rank == 0:
            torch.save(kept, Path(folder) / "gradients.pt")
    except Exception as error:
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        (Path(folder) / f"error{rank}.txt").write_text(text)
        os._exit(1)
    os._exit(0)  # skips clean-up, in which the group's store would wait for a peer that has ended


def _steps(job: Job, rank: int) -> dict[str, Tensor]:
    subject = job.subject()
    engine = Engine("cpu", processes=GROUP)
    method = subject.build().train()
    keeper = GradientKeeper({name: p for name, p in method.named_parameters() if p.requires_grad})
    module = engine.wrap(method, keeper)
    clip = torch.cat([part.chunk(GROUP)[rank] for part in subject.clip(2 * GROUP)], dim=1)
    for step in range(STEPS):
        # one step late and one early in training: a parameter used in only one of them stops the group
        moment = progress(late=step == 0, rank=rank, world_size=GROUP)
        module.step(clip, moment, accumulate=1, clip_norm=None)
    engine.barrier()
    leave_group()
    return keeper.kept
