"""A small sweep without files and training, for checks of loggers and executors."""

from __future__ import annotations

from functools import cache

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, needs_files
from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.sweep.plan import Request, make_plan

CLIPS = "4"


@cache
def baseline_specs() -> tuple[RunSpec, ...]:
    """Return the runs of a benchmark's untrained baselines on a few clips generated in memory.

    Raises:
        UserError: no installed benchmark does without files.
    """
    for name in BENCHMARKS.names():
        benchmark = load_benchmark(name)
        if not needs_files(benchmark):
            few = [(f"evaluation.{split}_clips", CLIPS) for split in ("val", "test")]
            last = list(benchmark.protocols)[-1]  # the shortest one, by custom
            specs = make_plan(Request([], benchmark, last, overrides=few)).specs
            if len(specs) > 1:
                return specs
    raise UserError("No installed benchmark has two untrained baselines and needs no files: nothing to try a sweep on.")
