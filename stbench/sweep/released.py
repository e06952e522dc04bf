"""Released weights as runs: the protocol they belong to, and their scores beside those that were stated for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stbench.data.benchmarks.released import Figures, Released
from stbench.errors import UserError
from stbench.nn import METHODS, split_name
from stbench.schema import RunResult
from stbench.schema.folder import RunFolder, write_text
from stbench.sweep.weights import CheckpointRun, plan_checkpoint

RECORD = "released.json"
"""File of a run folder: where the weights are from, and the scores that were stated for them."""


@dataclass(frozen=True)
class Compared:
    """One metric of released weights: the score here and the one stated for them."""

    metric: str
    scored: float
    stated: float

    @property
    def difference(self) -> float:
        """Score here minus stated score."""
        return self.scored - self.stated


def plan_released(
    item: Released, path: Path, protocol: str | None, overrides: Sequence[tuple[str, str]]
) -> CheckpointRun:
    """Resolve the run that scores released weights; its spec names them and their address.

    Args:
        item: the released checkpoint.
        path: its file.
        protocol: only the one that the weights belong to is possible; None for that one.
        overrides: the ``--set`` pairs.

    Raises:
        UserError: no such method is here, another protocol is asked for, or the file is no checkpoint of the method.
    """
    method = check_scorable(item, protocol)
    planned = plan_checkpoint(path, method, item.benchmark, item.release.protocol, overrides)
    origins = {**planned.spec.origins, "weights": f"released as {item.full_name}: {item.url}"}
    spec = planned.spec.model_copy(update={"method": f"{method}@{item.full_name}", "origins": origins})
    return CheckpointRun(spec, planned.state, planned.inferred)


def check_scorable(item: Released, protocol: str | None) -> str:
    """Return the method of released weights.

    Raises:
        UserError: no such method is here, or another protocol than the one they belong to is asked for.
    """
    method, belongs = item.checkpoint.method, item.release.protocol
    if method is None or split_name(method)[0] not in METHODS.names():
        raise UserError(
            f"{item.full_name} are weights of {method or item.name!r}, a method that is not installed. "
            f"'stbench weights list --dataset {item.benchmark}' shows which weights can be scored."
        )
    if protocol not in (None, belongs):
        raise UserError(
            f"{item.full_name} was trained on the split of the protocol {belongs!r}. Under {protocol!r} it may have "
            f"been trained on test clips. Use --protocol {belongs}, or --checkpoint FILE to score it all the same."
        )
    return method


def compare(result: RunResult, figures: Figures) -> tuple[Compared, ...]:
    """Return every metric that was both scored and stated."""
    test = result.test
    return tuple(Compared(name, test[name].total, stated) for name, stated in figures.values.items() if name in test)


def write_record(folder: RunFolder, item: Released, figures: Figures | None) -> None:
    """Write into the run's folder where the weights are from and what was stated for them."""
    stated = None if figures is None else asdict(figures)
    record = {"name": item.full_name, "url": item.url, "training": item.release.training, "stated": stated}
    write_text(folder.file(RECORD), json.dumps(record, indent=2) + "\n")
