"""Carry out a plan: finished runs are found and kept, a failed one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from stbench.data import Dataset
from stbench.errors import UserError
from stbench.schema import RunResult, RunSpec
from stbench.sweep.run import RunListener, Workplace, execute, open_dataset
from stbench.train.interrupt import stop_on_signals

Outcome = Literal["finished", "failed", "already done", "busy"]


class SweepListener(Protocol):
    """Who watches a sweep."""

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:
        """A run starts; returns who watches it."""

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None) -> None:
        """A run ended, or was found done or in another process's hands."""

    def data_opened(self, dataset: Dataset) -> None:
        """The dataset was read."""


def check_writable(root: Path) -> None:
    """Make the output folder.

    Raises:
        UserError: it cannot be made or written to.
    """
    probe = root / ".writable"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"Cannot write to the output folder {root}: {error.strerror or error}. Choose another one with --out."
        ) from error


def is_done(spec: RunSpec, workplace: Workplace, retry_failed: bool) -> bool:
    """Whether a run needs nothing more."""
    folder = workplace.folder(spec)
    return folder.is_complete and not (retry_failed and folder.result().status == "failed")


def sweep(
    specs: Sequence[RunSpec], workplace: Workplace, listener: SweepListener, *, retry_failed: bool = False
) -> None:
    """Do every run of a plan that is not done yet, in order.

    Raises:
        UserError: missing or damaged data, or an unwritable folder.
        KeyboardInterrupt: asked to stop; everything finished is kept, the current run can be resumed.
    """
    check_writable(workplace.root)
    datasets: dict[str, Dataset] = {}
    with stop_on_signals() as stop:
        for number, spec in enumerate(specs, 1):
            if is_done(spec, workplace, retry_failed):
                listener.run_done(spec, "already done", workplace.folder(spec).result())
                continue
            dataset = _opened(spec, workplace, datasets, listener.data_opened)
            folder = workplace.folder(spec)
            folder.path.mkdir(parents=True, exist_ok=True)
            with folder.locked(shared=workplace.engine.world_size > 1) as mine:
                if not mine:
                    listener.run_done(spec, "busy", None)
                    continue
                watcher = listener.run_listener(spec, number, len(specs))
                result = execute(spec, dataset, workplace, watcher, stop)
            listener.run_done(spec, result.status, result)
            stop.leave()


def _opened(
    spec: RunSpec, workplace: Workplace, datasets: dict[str, Dataset], opened: Callable[[Dataset], None]
) -> Dataset:
    """The runs of one plan share a dataset."""
    key = f"{spec.dataset.model_dump_json()} {spec.selection}"
    if key not in datasets:
        datasets[key] = open_dataset(spec, workplace.data_dirs)
        opened(datasets[key])
    return datasets[key]
