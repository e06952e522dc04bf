"""Peak memory and start-up time, measured in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import torch
from pydantic import ValidationError

from stbench.efficiency.records import Memory, Mode
from stbench.efficiency.sampling import OUT_OF_MEMORY
from stbench.schema import Record, RunSpec

TIMEOUT_SECONDS = 900.0
_KILLED = -9


class Task(Record):
    """Task of the process; ``started`` is the wall-clock time of its start, in seconds since 1970."""

    spec: RunSpec
    mode: Mode
    precision: str
    batch: int
    device: str
    threads: int
    started: float = 0.0


def measure_memory(
    spec: RunSpec, *, mode: Mode, precision: str, batch: int, device: torch.device, timeout: float = TIMEOUT_SECONDS
) -> Memory:
    """Run a method in a fresh process; if it dies, the returned :class:`Memory` gives the reason."""
    task = Task(
        spec=spec,
        mode=mode,
        precision=precision,
        batch=batch,
        device=device.type,
        threads=torch.get_num_threads(),
        started=time.time(),
    )
    command = [sys.executable, "-m", "stbench.efficiency.worker"]
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    try:
        done = subprocess.run(
            command, input=task.model_dump_json(), capture_output=True, text=True, timeout=timeout, env=env
        )
    except subprocess.TimeoutExpired:
        return _failed(task, f"no answer within {timeout:.0f} s")
    try:
        return Memory.model_validate_json(done.stdout.splitlines()[-1])
    except (IndexError, ValidationError):
        last_words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        killed = f"{OUT_OF_MEMORY} (killed)"
        return _failed(task, killed if done.returncode == _KILLED else f"failed: {last_words}")


def _failed(task: Task, reason: str) -> Memory:
    return Memory(mode=task.mode, precision=task.precision, batch=task.batch, failure=reason)
