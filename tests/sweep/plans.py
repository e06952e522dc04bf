"""Resolve every shipped benchmark × protocol × method and print one line per plan with its run id.

The run id hashes every resolved value (``RunSpec.run_id``), so equal lines mean equal plans, byte for byte.
``python tests/sweep/plans.py > tests/sweep/plans.txt`` records them anew; do that only with a stated reason.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from stbench.data import BENCHMARKS, load_benchmark
from stbench.data.benchmarks.lookup import load_template
from stbench.errors import UserError
from stbench.nn import METHODS
from stbench.schema import Benchmark
from stbench.sweep.plan import Request, make_plan

RECORDED = Path(__file__).with_name("plans.txt")


def names() -> list[str]:
    """Every method and every variant that a method declares."""
    plugins = METHODS.names()
    return [*plugins, *(f"{plugin}:{variant}" for plugin in plugins for variant in METHODS.get(plugin).variants)]


@cache
def benchmarks() -> list[Benchmark]:
    """Every shipped benchmark, and the template of a user's own data."""
    return [*(load_benchmark(name) for name in BENCHMARKS.names()), load_template()]


def plan_lines(methods: list[str]) -> Iterator[str]:
    """``benchmark protocol encoder method run_id`` (or ``refused`` with a hash of the reason) for every combination."""
    for benchmark in benchmarks():
        for protocol in benchmark.protocols:
            for encoder in ("paper", "shared"):
                for method in methods:
                    where = f"{benchmark.name} {protocol} {encoder} {method}"
                    request = Request(methods=[method], benchmark=benchmark, protocol=protocol, encoder=encoder)
                    try:
                        plan = make_plan(request)
                    except UserError as error:
                        yield f"{where} refused {hashlib.sha256(str(error).encode()).hexdigest()[:12]}"
                        continue
                    yield from (f"{where} {spec.run_id}" for spec in plan.specs if spec.method == method)


if __name__ == "__main__":
    for line in plan_lines(sys.argv[1:] or names()):
        print(line)
