"""Which runs share a table, which share a row, and what tables and rows are called."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from stbench.report.collect.records import RunRecord
from stbench.schema import RunSpec

TASK = {"benchmark", "benchmark_version", "protocol", "selection", "shape", "dataset", "value_range", "data_range"}
"""Settings that a table's rows share; with the scored clips and the data they make a task."""
SHORT_HASH = 8


def task_key(record: RunRecord) -> str:
    """Runs with the same key answer the same question on the same clips."""
    shared = record.spec.model_dump(mode="json", include=TASK)
    return json.dumps([shared, record.spec.evaluation.test_clips, record.result.data_fingerprint], sort_keys=True)


def row_key(spec: RunSpec) -> str:
    """Everything that decides a run's numbers, the seed apart: runs with the same key are seeds of one row."""
    return spec.model_copy(update={"seed": 0}).run_id


def settings_of(spec: RunSpec) -> dict[str, Any]:
    """Settings of a method as one flat mapping: ``training.epochs``, ``config.hidden`` …"""
    return flat(spec.model_dump(mode="json", include={"config", "training", "evaluation"}))


def row_labels(specs: Sequence[RunSpec]) -> list[str]:
    """Method and encoder; rows that share both also name the settings in which they differ."""
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
    """What to add to titles of tables, each with a run of it: equal ones name the settings and data that differ."""
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
    """Which seeds were trained by which code, where a row's runs differ in it; empty where they do not."""
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
    """Nested mappings as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _distinguishing(spec: RunSpec) -> dict[str, Any]:
    """Flat settings of a run that its table does not fix, hashes of weights shortened."""
    left_out = {*TASK, "seed", "origins", "method", "encoder"}
    found = flat(spec.model_dump(mode="json", exclude=left_out))
    if spec.weights is not None:
        found["weights"] = spec.weights[:SHORT_HASH]
    return found


def _task_settings(record: RunRecord) -> dict[str, Any]:
    found = flat(record.spec.model_dump(mode="json", include=TASK))
    return {**found, "data": record.result.data_fingerprint[:SHORT_HASH] or "unknown"}
