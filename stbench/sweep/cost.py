"""What a plan will cost on this machine, before it begins: a step of every method, timed once and kept.

Steps are timed in processes of their own, so that random states and memory of this one stay as they are. What is timed
is kept by configuration and machine below the cache folder. Methods that are cheap by any standard are not timed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stbench.data import Splits
from stbench.data.frame_cache.cache import cache_dir
from stbench.efficiency.macs import TRAINING_FACTOR, macs_of
from stbench.efficiency.memory import measure_step
from stbench.efficiency.records import StepCost
from stbench.errors import UserError
from stbench.nn import METHODS
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder, write_text
from stbench.sweep.environment import device_name, source_hash
from stbench.sweep.estimate import Duration
from stbench.train.length import run_length

FOLDER = "steps"
TIMEOUT_SECONDS = 120.0
CHEAP_SECONDS = 1200.0
"""Plans that take less even on a slow machine are not timed."""
SLOW_MACS, SLOW_STEP = 1e9, 0.1
"""A slow machine: multiply-adds per second, and seconds of a step besides."""
ASK_SECONDS = 7200.0


@dataclass(frozen=True)
class Machine:
    """Where the runs of a plan go: device, threads of each run, runs at once, data-parallel processes."""

    device: torch.device
    threads: int
    jobs: int = 1
    processes: int = 1

    def batch(self, spec: RunSpec) -> int:
        """Return the clips of a step on one process."""
        return 1 if spec.training is None else max(1, spec.training.batch_size // self.processes)


@dataclass(frozen=True)
class RunCost:
    """Cost of one run that is still to be done: MACs of a prediction, its step, and seconds if they can be told."""

    spec: RunSpec
    macs: int | None
    step: StepCost | None = None
    seconds: float | None = None


def run_costs(
    specs: Sequence[RunSpec],
    root: Path,
    machine: Machine,
    times: Mapping[str, Duration],
    open_data: Callable[[RunSpec], Splits] | None,
    say: Callable[[str], None],
) -> list[RunCost]:
    """Return the cost of the trained runs of a plan that are not done.

    Args:
        specs: the plan.
        root: folder of the run folders; what a run has trained already does not count.
        machine: where.
        times: what is known of the runs otherwise: done, budgets of time, estimates from finished runs.
        open_data: opens the data of a run, whose sizes decide its length; None opens and times nothing (a dry run).
        say: told what is being timed.
    """
    todo = [spec for spec in specs if spec.training is not None and not RunFolder(root / spec.folder).is_complete]
    untold = [spec for spec in todo if spec.folder not in times]
    lengths = {spec.folder: None if open_data is None else _work(spec, root, open_data) for spec in untold}
    slow = [_slowly(spec, lengths[spec.folder]) for spec in untold]
    worth = open_data is not None and sum(slow) > CHEAP_SECONDS
    costs = []
    for spec in todo:
        step = _cached(spec, machine)
        if step is None and worth and spec in untold:
            say(f"timing a step of {spec.method}")
            step = _timed(spec, machine)
        known, length = times.get(spec.folder), lengths.get(spec.folder)
        seconds = None if known is None else known.seconds
        if known is None and step is not None and step.seconds is not None and length is not None:
            seconds = length.steps * step.seconds + length.clips * step.seconds / (
                TRAINING_FACTOR * machine.batch(spec)
            )
        costs.append(RunCost(spec, macs_of(spec), step, seconds))
    return costs


def total_seconds(costs: Sequence[RunCost], jobs: int) -> float:
    """Return the seconds of all runs whose time can be told, ``jobs`` at once."""
    return sum(cost.seconds or 0.0 for cost in costs) / min(jobs, max(1, len(costs)))


def memory_shortage(costs: Sequence[RunCost], machine: Machine, available: int | None) -> str:
    """Return a warning where runs at once need more memory than there is; empty if they fit or nothing is known.

    Args:
        costs: of the runs, with their peaks.
        machine: whose ``jobs`` run at once; only on a CPU do they share one memory.
        available: bytes.
    """
    peaks = sorted((cost.step.peak for cost in costs if cost.step is not None and cost.step.peak), reverse=True)
    if machine.device.type != "cpu" or machine.jobs < 2 or available is None or not peaks:
        return ""
    together = peaks[: machine.jobs]
    if sum(together) <= available:
        return ""
    fitting = max(1, available // peaks[0])
    return (
        f"{len(together)} runs at once need about {sum(together) / 1e9:.1f} GB, and {available / 1e9:.1f} GB are free. "
        f"Use --jobs {fitting}; a run that the system kills for want of memory is repeated alone."
    )


def available_memory() -> int | None:
    """Return the bytes that processes can take without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def seconds_to_agree(costs: Sequence[RunCost], jobs: int) -> float:
    """Return the seconds that nobody asked for: those of runs without a budget of time."""
    return total_seconds([cost for cost in costs if _limit(cost.spec) is None], jobs)


@dataclass(frozen=True)
class _Work:
    """Optimiser steps that are left, and clips to predict in validation and test."""

    steps: int
    clips: int


def _limit(spec: RunSpec) -> float | None:
    return None if spec.training is None else spec.training.time_limit


def _work(spec: RunSpec, root: Path, open_data: Callable[[RunSpec], Splits]) -> _Work | None:
    """What a run has left to do; None where its data cannot be opened, which the run itself will report."""
    training, evaluation = spec.training, spec.evaluation
    assert training is not None, "only trained methods have steps"
    try:
        data = open_data(spec)
        history = RunFolder(root / spec.folder).history()
    except (UserError, OSError):
        return None
    clips = min(training.train_clips or len(data.train), len(data.train))
    length = run_length(training, max(1, clips // training.batch_size))
    done = int(history[-1].get("step", 0)) if history else 0
    val = min(evaluation.val_clips or len(data.val), len(data.val))
    test = min(evaluation.test_clips or len(data.test), len(data.test))
    return _Work(max(0, length.steps - done), max(0, length.epochs - len(history)) * val + test)


def _slowly(spec: RunSpec, work: _Work | None) -> float:
    """Seconds of a run on a slow machine."""
    if work is None or spec.training is None:
        return 0.0
    clip = (macs_of(spec) or 0) / SLOW_MACS
    step = TRAINING_FACTOR * spec.training.batch_size * clip + SLOW_STEP
    return work.steps * step + work.clips * clip


def _file(spec: RunSpec, machine: Machine) -> Path:
    training = spec.training
    assert training is not None, "only trained methods have steps"
    kept = {"precision", "accumulate", "clip_norm", "optimizer", "activation_checkpointing", "compile", "fast_conv"}
    facts = {
        **spec.model_dump(mode="json", include={"plugin", "config", "shape"}),
        "training": {key: value for key, value in training.model_dump(mode="json").items() if key in kept},
        "batch": machine.batch(spec),
        "device": device_name(machine.device),
        "threads": machine.threads,
        "torch": torch.__version__,
        "source": source_hash(METHODS.get(spec.plugin)),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return cache_dir().parent / FOLDER / f"{key}.json"


def _cached(spec: RunSpec, machine: Machine) -> StepCost | None:
    try:
        return StepCost.model_validate_json(_file(spec, machine).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _timed(spec: RunSpec, machine: Machine) -> StepCost:
    found = measure_step(
        spec, batch=machine.batch(spec), device=machine.device, threads=machine.threads, timeout=TIMEOUT_SECONDS
    )
    if found.failure is None:  # a lack of memory may pass
        file = _file(spec, machine)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, found.model_dump_json())
        except OSError:  # a cache that cannot be written costs time, not the plan
            return found
    return found
