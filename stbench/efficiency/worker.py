"""The process of :mod:`stbench.efficiency.memory`: reads a task from stdin, writes a measurement to stdout."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch

from stbench.efficiency.memory import Task
from stbench.efficiency.records import Memory, StepCost
from stbench.efficiency.running import Runner
from stbench.efficiency.sampling import OUT_OF_MEMORY, DeviceClock
from stbench.errors import is_out_of_memory
from stbench.train.engine import Engine

LONG_SECONDS = 10.0


def main() -> None:
    """Measure the task and print the answer as one line of JSON."""
    task = Task.model_validate_json(sys.stdin.read())
    torch.set_num_threads(task.threads)
    print((time_step(task) if task.step else measure(task)).model_dump_json())


def measure(task: Task) -> Memory:
    """Build the method, run it on one clip, which also allocates the optimiser's moments, then on the batch."""
    engine = Engine("cuda" if task.device == "cuda" else "cpu", task.precision, alone=True)
    runner = Runner(task.spec, engine)
    one, all_ = runner.work(task.mode, 1), runner.work(task.mode, task.batch)
    clock = DeviceClock(engine.device)
    before = _held(engine.device)
    begun = clock.now()
    start_up = time.time() - task.started
    about = {"mode": task.mode, "precision": task.precision, "batch": task.batch, "start_up": start_up}
    try:
        one()
        first = clock.now() - begun
        all_()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return Memory(**about, failure=OUT_OF_MEMORY)
    return Memory(**about, first=first, before=before, peak=_peak(engine.device))


def time_step(task: Task) -> StepCost:
    """Time an optimiser step on the batch, or on one clip where the batch would take longer than ``LONG_SECONDS``.

    The first call of each size warms up and does not count.
    """
    engine = Engine("cuda" if task.device == "cuda" else "cpu", task.precision, alone=True)
    clock = DeviceClock(engine.device)
    try:
        runner = Runner(task.spec, engine)

        def timed(batch: int) -> float:
            step = runner.work("training", batch)
            step()
            begun = clock.now()
            step()
            return clock.now() - begun

        seconds = timed(1) * task.batch
        if task.batch > 1 and seconds > LONG_SECONDS:
            return StepCost(seconds=seconds)
        return StepCost(seconds=timed(task.batch), peak=_peak(engine.device))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return StepCost(failure=OUT_OF_MEMORY)


def _held(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _from_proc("VmRSS") or _largest_resident_set()


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _from_proc("VmHWM") or _largest_resident_set()


def _from_proc(field: str) -> int | None:
    """Read a field of /proc/self/status in bytes; unlike getrusage it excludes the parent process."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next((line for line in status.read_text().splitlines() if line.startswith(f"{field}:")), None)
    return int(line.split()[1]) * 1024 if line else None


def _largest_resident_set() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
