"""Work of one process: time and memory of a training step and a prediction of one side."""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from stbench.efficiency.memory import Mode
from stbench.efficiency.peak import peak_flops, probes
from stbench.efficiency.records import Spread
from stbench.efficiency.running import Runner
from stbench.efficiency.sampling import DeviceClock, interleave
from stbench.efficiency.subject import build as build_method
from stbench.efficiency.subject import random_clip
from stbench.efficiency.worker import _peak as peak_memory
from stbench.nn import Progress, RecurrentForecaster
from stbench.schema import RunSpec
from stbench.sweep.plan import Request, make_plan
from stbench.train.engine import Engine

from .breakdown import where_time_goes
from .task import Answer, Task

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
Work = dict[Mode, Callable[[], object]]
MODES: tuple[Mode, Mode] = ("training", "inference")
"""Training comes first, so that its memory peak is read before anything else has used the heap."""


def with_reference(text: str) -> tuple[str, ...]:
    """Return the methods of a comma-separated list; "all" means every entry of the eager references.

    Raises:
        argparse.ArgumentTypeError: a method has no eager reference.
    """
    from eager import EAGER, reference_of

    names = tuple(EAGER) if text == "all" else tuple(text.split(","))
    for name in names:
        try:
            reference_of(name)
        except KeyError:
            known = ", ".join(EAGER)
            raise argparse.ArgumentTypeError(f"no eager reference of {name}. Use all or any of {known}") from None
    return names


def spec_of(task: Task) -> RunSpec:
    """Return the spec whose sizes are measured."""
    plan = make_plan(Request(methods=(task.method,), benchmark=task.benchmark, protocol=task.protocol))
    return next(spec for spec in plan.specs if spec.method == task.method)


def measure(task: Task) -> Answer:
    """Run a task in this process."""
    torch.set_num_threads(task.threads)
    device = torch.device(task.device)
    clock = DeviceClock(device)
    if task.side == "peak":
        found = probes(device, task.precision)
        spreads = interleave({probe.name: probe.run for probe in found}, clock, task.budget, task.repeats)
        times = {name: taken for name, taken in spreads.items() if isinstance(taken, Spread)}
        return Answer(peak_flops=peak_flops(found, times))
    spec = spec_of(task)
    if task.side == "fast" and spec.training is not None:
        spec = spec.model_copy(update={"training": spec.training.model_copy(update={"fast_conv": True})})
    works = eager_work(spec, task, device) if task.side == "eager" else stbench_work(spec, task)
    answer: dict[str, dict[Mode, object]] = {"seconds": {}, "page_faults": {}, "where": {}}
    peak = 0
    for mode in MODES:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        for _ in range(2):
            works[mode]()
        if mode == "training":
            peak = peak_memory(device)
        answer["seconds"][mode], answer["page_faults"][mode] = repeated(works[mode], clock, task)
        if task.profiled:
            answer["where"][mode] = where_time_goes(works[mode], device)
    del works
    gc.collect()
    return Answer.model_validate({**answer, "peak_memory": peak})


def repeated(work: Callable[[], object], clock: DeviceClock, task: Task) -> tuple[list[float], int]:
    """Return the seconds of every repeat within the budget, and the page faults of one."""
    seconds: list[float] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    ends = time.perf_counter() + task.budget
    while len(seconds) < task.repeats or time.perf_counter() < ends:
        started = clock.now()
        work()
        seconds.append(clock.now() - started)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return seconds, faults // len(seconds)


def stbench_work(spec: RunSpec, task: Task) -> Work:
    """Return stbench's prediction and training step, as in a run."""
    runner = Runner(spec, Engine(task.device, task.precision), compiled=task.compiled)
    return {mode: runner.work(mode, task.batch) for mode in MODES}


def eager_work(spec: RunSpec, task: Task, device: torch.device) -> Work:
    """Return those of the eager reference, with the same sizes and the same frames fed back."""
    import eager

    torch.manual_seed(0)
    model = eager.build(spec.method, spec.shape, spec.config).to(device)
    step = eager.TrainingStep(model, lr=spec.training.lr if spec.training is not None else 1e-3)
    clip = random_clip(spec.shape, task.batch, device)
    feed = fed_frames(spec, task.batch)

    def train() -> object:
        model.train()
        return step(clip, feed)

    @torch.inference_mode()
    def predict() -> object:
        return model.eval()(clip[:, : spec.shape.t_in])

    return {"training": train, "inference": predict}


def fed_frames(spec: RunSpec, batch: int) -> Tensor:
    """Return which frames stbench's first training step feeds, without allocating weights."""
    with torch.device("meta"):
        method = build_method(spec)
    if not isinstance(method, RecurrentForecaster):
        return torch.zeros(batch, 0, dtype=torch.bool)
    return method.draw_feed(batch, Progress(generator=torch.Generator().manual_seed(0)))
