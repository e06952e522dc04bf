"""Provenance of a run: each setting with its origin, machine, data hash, state of the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stbench.report.analysis.keys import flat
from stbench.report.collect.records import RunRecord


def run_provenance(run: RunRecord, link: str | None) -> dict[str, Any]:
    """Return all that a page shows about a run; ``settings`` are (key, value, origin), ``link`` is None for no link."""
    spec, result = run.spec, run.result
    values = flat(spec.model_dump(mode="json", exclude={"origins"}))
    return {
        "name": run.name,
        "link": link,
        "seed": spec.seed,
        "status": result.status,
        "failure": "" if result.failure is None else f"{result.failure.kind}: {result.failure.reason}",
        "facts": {key: value for key, value in _facts(run).items() if value not in ("", None)},
        "settings": [(key, _shown(value), _origin(key, spec.origins)) for key, value in values.items()],
        "environment": [(key, _shown(value)) for key, value in flat(_environment(run)).items()],
    }


def _facts(run: RunRecord) -> dict[str, Any]:
    result, git = run.result, _environment(run).get("git")
    state = ""
    if isinstance(git, Mapping) and git.get("commit"):
        state = f"{git['commit']}{' with uncommitted changes' if git.get('modified') else ''}"
    return {
        "run": result.run_id,
        "finished": result.finished_at,
        "data": result.data_report,
        "data hash": result.data_fingerprint,
        "code": state,
        "method's source": result.method_source,
        "best epoch": None if result.best_epoch is None else f"{result.best_epoch + 1} of {result.epochs_run}",
        "difference to scikit-image": result.skimage_difference,
    }


def _environment(run: RunRecord) -> dict[str, Any]:
    try:
        return run.folder.environment()
    except ValueError:
        return {}


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Return the origin of a key or of the mapping around it."""
    while key:
        if key in origins:
            return origins[key]
        key = key.rpartition(".")[0]
    return ""


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
