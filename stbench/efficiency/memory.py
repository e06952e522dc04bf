"""Peak memory, start-up time, and the time of one step, measured in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import torch
from pydantic import ValidationError

from stbench.efficiency.records import Memory, Mode, StepCost
from stbench.efficiency.sampling import OUT_OF_MEMORY
from stbench.schema import Record, RunSpec

TIMEOUT_SECONDS = 900.0
_KILLED = -9


class Task(Record):
    """Task of the process.

    ``started``: wall-clock time of its start, in seconds since 1970. ``step``: time one optimiser step
    (:class:`~stbench.efficiency.records.StepCost`) in place of the peak memory.
    """

    spec: RunSpec
    mode: Mode
    precision: str
    batch: int
    device: str
    threads: int
    started: float = 0.0
    step: bool = False


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
    answer = _answer(task, timeout)
    try:
        return Memory.model_validate_json(answer)
    except ValidationError:
        return _failed(task, answer)


def measure_step(spec: RunSpec, *, batch: int, device: torch.device, threads: int, timeout: float) -> StepCost:
    """Time one optimiser step of a run on ``batch`` clips in a fresh process, which leaves this one as it was.

    Args:
        spec: of a trained method.
        batch: clips of the step.
        device: where.
        threads: of the process.
        timeout: seconds after which the answer is a failure.
    """
    assert spec.training is not None, "an untrained method has no training step"
    task = Task(
        spec=spec,
        mode="training",
        precision=spec.training.precision,
        batch=batch,
        device=device.type,
        threads=threads,
        started=time.time(),
        step=True,
    )
    answer = _answer(task, timeout)
    try:
        return StepCost.model_validate_json(answer)
    except ValidationError:
        return StepCost(failure=answer)


def _answer(task: Task, timeout: float) -> str:
    """The last line of the process, or the reason why it has none."""
    command = [sys.executable, "-m", "stbench.efficiency.worker"]
    env = {**os.environ, "OMP_NUM_THREADS": str(task.threads)}
    try:
        done = subprocess.run(
            command, input=task.model_dump_json(), capture_output=True, text=True, timeout=timeout, env=env
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout:.0f} s"
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.splitlines()[-1]
    last_words = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return f"{OUT_OF_MEMORY} (killed)" if done.returncode == _KILLED else f"failed: {last_words}"


def _failed(task: Task, reason: str) -> Memory:
    return Memory(mode=task.mode, precision=task.precision, batch=task.batch, failure=reason)
