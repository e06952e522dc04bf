"""Keys that assign runs to tables and rows, and the names of tables and rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from stbench.report.collect.records import RunRecord
from stbench.schema import RunSpec

TASK = {"benchmark", "benchmark_version", "protocol", "selection", "shape", "dataset", "value_range", "data_range"}
"""Settings shared by the rows of a table; together with scored clips and data they define a task."""
SHORT_HASH = 8


def task_key(record: RunRecord) -> str:
    """Return a key that is equal for runs of the same task on the same clips."""
    shared = record.spec.model_dump(mode="json", include=TASK)
    return json.dumps([shared, record.spec.evaluation.test_clips, record.result.data_fingerprint], sort_keys=True)


def row_key(spec: RunSpec) -> str:
    """Return a key of all settings but the seed; runs with the same key are seeds of one row."""
    return spec.model_copy(update={"seed": 0}).run_id


def settings_of(spec: RunSpec) -> dict[str, Any]:
    """Return the settings of a method as a flat mapping: ``training.epochs``, ``config.hidden`` …"""
    return flat(spec.model_dump(mode="json", include={"config", "training", "evaluation"}))


def row_labels(specs: Sequence[RunSpec]) -> list[str]:
    """Return labels of method and encoder; rows that share both also name the settings in which they differ."""
    labels = [spec.method if spec.encoder == "paper" else f"{spec.method} ({spec.encoder} encoder)" for spec in specs]
    settings = [_distinguishing(spec) for spec in specs]
    shown = []
    for label, own in zip(labels, settings, strict=True):
        twins = [other for name, other in zip(labels, settings, strict=True) if name == label]
        keys = sorted({key for twin in twins for key in twin})
        differing = [key for key in keys if any(twin.get(key) != own.get(key) for twin in twins)]
        detail = ", ".join(f"{key.rpartition('.')[2]}={own.get(key)}" for key in differing)
        shown.append(f"{label} [{detail}]" if detail else label)
    return shown


def distinguish(titles: Sequence[str], records: Sequence[RunRecord]) -> list[str]:
    """Return suffixes for table titles, each with a run: equal titles name the settings and data that differ."""
    settings = [_task_settings(record) for record in records]
    found = []
    for title, own in zip(titles, settings, strict=True):
        twins = [other for name, other in zip(titles, settings, strict=True) if name == title]
        keys = sorted({key for twin in twins for key in twin})
        differing = [key for key in keys if any(twin.get(key) != own.get(key) for twin in twins)]
        detail = ", ".join(f"{key.rpartition('.')[2]} {own.get(key)}" for key in differing)
        found.append(f", {detail}" if detail else "")
    return found


def code_differences(records: Iterable[RunRecord]) -> str:
    """Return which seeds were trained by which code; empty if it was the same for all."""
    seeds: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.result.method_source:
            seeds[record.result.method_source].append(str(record.spec.seed))
    if len(seeds) < 2:
        return ""
    parts = []
    for source, numbers in seeds.items():
        parts.append(f"{source} for {'seed' if len(numbers) == 1 else 'seeds'} {', '.join(numbers)}")
    return "; ".join(parts)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings; keys are joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _distinguishing(spec: RunSpec) -> dict[str, Any]:
    """Return the flat settings of a run that its table does not fix, with shortened hashes of weights."""
    left_out = {*TASK, "seed", "origins", "method", "encoder"}
    found = flat(spec.model_dump(mode="json", exclude=left_out))
    if spec.weights is not None:
        found["weights"] = spec.weights[:SHORT_HASH]
    return found


def _task_settings(record: RunRecord) -> dict[str, Any]:
    found = flat(record.spec.model_dump(mode="json", include=TASK))
    return {**found, "data": record.result.data_fingerprint[:SHORT_HASH] or "unknown"}
