"""Estimated time of the runs of a plan, from comparable finished runs only."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stbench.errors import UserError
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder


@dataclass(frozen=True)
class Duration:
    """Seconds of a run: 0 if it is ``done``, a ``budget`` of time, or an ``estimate`` of its training."""

    kind: Literal["done", "budget", "estimate"]
    seconds: float = 0.0


def plan_times(specs: Sequence[RunSpec], root: Path, device: str) -> dict[str, Duration]:
    """Return the time of each run by folder name, without runs that cannot be estimated.

    Args:
        specs: the plan.
        root: folder of the run folders.
        device: name of the device of the plan; runs on other devices are not used.
    """
    done = {spec.folder for spec in specs if RunFolder(root / spec.folder).is_complete}
    times = {folder: Duration("done") for folder in done}
    todo = [spec for spec in specs if spec.folder not in done]
    known = _seconds_per_epoch(todo, root, device) if todo else {}
    for spec in todo:
        training, epoch = spec.training, known.get(_cost_key(spec))
        if training is not None and training.time_limit is not None:
            times[spec.folder] = Duration("budget", training.time_limit)
        elif training is not None and training.steps is None and epoch is not None:
            times[spec.folder] = Duration("estimate", training.epochs * epoch)
    return times


def _seconds_per_epoch(specs: Sequence[RunSpec], root: Path, device: str) -> dict[str, float]:
    """Return the median seconds of an epoch by cost key, from the finished runs below a folder."""
    wanted, found = {_cost_key(spec) for spec in specs}, defaultdict(list)
    for folder in (RunFolder(path.parent) for path in root.glob("*/result.json")):
        try:
            result, environment = folder.result(), folder.environment()
            if result.seconds_per_epoch is None or environment.get("device") != device:
                continue
            key = _cost_key(folder.spec())
        except UserError:  # a damaged or foreign folder must not stop planning
            continue
        if key in wanted:
            found[key].append(result.seconds_per_epoch)
    return {key: statistics.median(seconds) for key, seconds in found.items()}


def _cost_key(spec: RunSpec) -> str:
    """Return the settings on which the duration of an epoch depends, apart from the device."""
    cost = spec.model_dump(mode="json", include={"plugin", "config", "shape", "dataset", "selection"})
    training = spec.training
    if training is not None:
        cost |= {name: getattr(training, name) for name in ("batch_size", "accumulate", "precision", "train_clips")}
    return json.dumps(cost, sort_keys=True)
