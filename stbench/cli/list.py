"""``stbench list``: what is installed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    BENCHMARKS = "benchmarks"
    METRICS = "metrics"
    PROTOCOLS = "protocols"


def list_command(kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.METHODS) -> None:
    """List methods, benchmarks, metrics or protocols with a one-line description."""
    from rich.console import Console
    from rich.table import Table

    columns, rows = {
        Kind.METHODS: _methods,
        Kind.BENCHMARKS: _benchmarks,
        Kind.METRICS: _metrics,
        Kind.PROTOCOLS: _protocols,
    }[kind]()
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)


Listing = tuple[list[str], list[list[str]]]


def _methods() -> Listing:
    from stbench.cli.describe import describe_methods

    rows = [[name, d.variants, d.paper, d.summary] for name, d in describe_methods().items()]
    return ["method", "variants", "paper", "what it is"], rows


def _benchmarks() -> Listing:
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, needs_files

    rows = []
    for name in BENCHMARKS.names():
        benchmark = load_benchmark(name)
        data = "files needed" if needs_files(benchmark) else "embedded"
        rows.append([name, f"v{benchmark.version}", ", ".join(benchmark.protocols), data, benchmark.title])
    return ["benchmark", "version", "protocols", "data", "what it is"], rows


def _metrics() -> Listing:
    from stbench.metrics import METRICS

    rows = [
        [m.name, "lower" if m.lower_is_better else "higher", m.unit or "–", m.description] for m in METRICS.values()
    ]
    return ["metric", "better", "unit", "convention"], rows


def _protocols() -> Listing:
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark

    rows = []
    for name in BENCHMARKS.names():
        for protocol, settings in load_benchmark(name).protocols.items():
            training = settings.training
            size = f"{training.epochs} epochs × batch {training.batch_size}, {training.schedule.kind}"
            rows.append([name, protocol, settings.selection, size, settings.description])
    return ["benchmark", "protocol", "selection", "training", "what it is for"], rows
