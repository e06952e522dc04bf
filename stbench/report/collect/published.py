"""Published rows, shown beside measured ones and never mixed with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, published_table
from stbench.metrics import METRICS


@dataclass(frozen=True)
class PublishedRow:
    """One published row, as printed: ``values`` by metric name, its source, protocol (``setting``) and caveats.

    ``plugin``: the method, with a variant if the source names one; empty for unknown methods. ``other_setting``: how
    its setting differs from the benchmark's; empty if it does not.
    """

    label: str
    plugin: str
    table: str
    setting: str
    values: dict[str, float]
    parameters: float | None
    source: str
    caveats: tuple[str, ...]
    other_setting: str = ""


def published_rows(benchmark: str) -> tuple[PublishedRow, ...]:
    """Return the published rows of a benchmark; none if it is not installed or nothing is published."""
    if benchmark not in BENCHMARKS.names():
        return ()
    frame = published_table(benchmark)
    return () if frame is None else read_published(frame)


def published_leak(benchmark: str) -> str:
    """Return what the split behind a benchmark's published rows shares with training; empty if nothing is known."""
    if benchmark not in BENCHMARKS.names():
        return ""
    leak = load_benchmark(benchmark).published_leak
    return "" if leak is None else str(leak)


def read_published(frame: pd.DataFrame) -> tuple[PublishedRow, ...]:
    """Parse rows of a table: plugin, method, table, setting, metrics by name, params_M, source, verified, flag.

    A column ``other_setting`` is optional.
    """
    columns = [name for name in frame.columns if name in METRICS]
    return tuple(_row(values, columns) for values in frame.to_dict("records"))


def _row(values: Mapping[Any, Any], metrics: Sequence[str]) -> PublishedRow:
    def text(name: str) -> str:
        value = values.get(name)
        return "" if value is None or pd.isna(value) else str(value)

    def number(name: str) -> float | None:
        return float(text(name)) if text(name) else None

    millions = number("params_M")
    verified = text("verified")
    checked = f"verification: {verified}" if verified else ""
    return PublishedRow(
        label=text("method"),
        plugin=text("plugin"),
        table=text("table"),
        setting=text("setting"),
        values={name: value for name in metrics if (value := number(name)) is not None},
        parameters=None if millions is None else millions * 1e6,
        source=text("source"),
        caveats=tuple(part for part in (checked, text("other_setting"), text("flag")) if part),
        other_setting=text("other_setting"),
    )
