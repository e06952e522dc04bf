"""``stbench list``: the installed plugins."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.cli.plain import listing_console, print_table
from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.registry import Registry
    from stbench.schema import PluginRecord


class Kind(StrEnum):
    """Kinds that can be listed."""

    METHODS = "methods"
    BENCHMARKS = "benchmarks"
    METRICS = "metrics"
    OPTIMIZERS = "optimizers"
    SCHEDULES = "schedules"
    LOGGERS = "loggers"
    EXECUTORS = "executors"
    SCENARIOS = "scenarios"
    PROTOCOLS = "protocols"


def list_command(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.METHODS,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed plugins of a kind, with a one-line description."""
    columns, rows = {
        Kind.METHODS: _methods,
        Kind.BENCHMARKS: _benchmarks,
        Kind.METRICS: _metrics,
        Kind.OPTIMIZERS: _optimizers,
        Kind.SCHEDULES: _schedules,
        Kind.LOGGERS: _loggers,
        Kind.EXECUTORS: _executors,
        Kind.SCENARIOS: _scenarios,
        Kind.PROTOCOLS: _protocols,
    }[kind]()
    if json_:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
        return
    print_table(listing_console(), columns, rows)


Listing = tuple[list[str], list[list[str]]]


def _methods() -> Listing:
    from stbench.cli.describe import describe_methods

    rows = [[name, d.variants, d.paper, d.summary] for name, d in describe_methods().items()]
    return ["method", "variants", "paper", "what it is"], rows


def _benchmarks() -> Listing:
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark
    from stbench.data.benchmarks.overview import HEADINGS, overview

    def row(name: str) -> list[list[str]]:
        benchmark, known = load_benchmark(name), overview(name)
        facts = [known.frames, known.frame, known.size, known.obtained.replace("`", ""), known.tried]
        return [[name, f"v{benchmark.version}", ", ".join(benchmark.protocols), *facts, benchmark.title]]

    columns = [HEADINGS[0], "version", "protocols", *HEADINGS[1:], "what it is"]
    return columns, _each(BENCHMARKS, row, len(columns) - 2)


def _metrics() -> Listing:
    from stbench.metrics import METRICS, Metric

    def row(metric: Metric) -> list[str]:
        shown = f"{metric.formula} (columns: {metric.name}@{metric.argument})" if metric.argument else metric.formula
        return [metric.direction, metric.unit or "–", metric.averaging, shown, metric.reference or "–"]

    return ["metric", "better", "unit", "averaging", "formula", "reference"], _rows(METRICS, row)


def _optimizers() -> Listing:
    from stbench.schema import OPTIMIZERS

    return ["optimizer", "settings", "what it is"], _rows(OPTIMIZERS, _record_row)


def _schedules() -> Listing:
    from stbench.schema import SCHEDULES

    return ["schedule", "settings", "what it is"], _rows(SCHEDULES, _record_row)


def _loggers() -> Listing:
    from stbench.events import LOGGERS

    return ["logger", "what it is"], _rows(LOGGERS, lambda logger: [_first_line(logger)])


def _executors() -> Listing:
    from stbench.cli.describe import describe_group

    return ["executor", "what it is"], [[name, d.summary] for name, d in describe_group("stbench.executors").items()]


def _scenarios() -> Listing:
    from stbench.evaluate.scenarios.scenario import SCENARIOS

    columns = ["scenario", "options", "for example", "what it is"]
    return columns, _rows(
        SCENARIOS,
        lambda s: [
            ", ".join(s.model_fields.keys() - {"kind"}) or "–",
            s.example or s.model_fields["kind"].default,
            _first_line(s),
        ],
    )


def _record_row(record: type[PluginRecord]) -> list[str]:
    values = [f"{name}={value}" for name, value in record().model_dump(mode="json").items() if name != "kind"]  # type: ignore[call-arg]
    return [", ".join(values) or "–", _first_line(record)]


def _first_line(plugin: object) -> str:
    return (inspect.getdoc(plugin) or "").partition("\n")[0]


def _rows(registry: Registry[Any], describe: Callable[[Any], list[str]]) -> list[list[str]]:
    """A row per plugin, its name first."""
    return _each(registry, lambda name: [[name, *describe(registry.get(name))]], 1)


def _each(registry: Registry[Any], rows_of: Callable[[str], list[list[str]]], blank: int) -> list[list[str]]:
    """The rows of every plugin; one that cannot be shown says why, behind ``blank`` cells, and hides no other."""
    from stbench.registry import foreign_code

    rows: list[list[str]] = []
    for name in registry.names():
        try:
            with foreign_code(f"The {registry.kind} {name!r} cannot be shown"):
                rows += rows_of(name)
        except UserError as error:
            rows.append([name, *["–"] * blank, str(error)])
    return rows


def _protocols() -> Listing:
    from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark

    def rows(name: str) -> list[list[str]]:
        found = []
        for protocol, settings in load_benchmark(name).protocols.items():
            training = settings.training
            size = f"{training.extent}, batch size {training.batch_size}, {training.schedule.kind}"
            found.append([name, protocol, settings.selection, size, settings.description])
        return found

    return ["benchmark", "protocol", "selection", "training", "purpose"], _each(BENCHMARKS, rows, 3)
