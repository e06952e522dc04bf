"""What every executor promises: each run done once, found again later, with the numbers of this process."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stbench.conformance.outcome import Check, NotApplicableError, ViolationError, check
from stbench.conformance.sweeps import baseline_specs
from stbench.events import Outcome
from stbench.schema import RunSpec
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import Ended, Executor, UnavailableError, get_executor
from stbench.sweep.sweep import Datasets, do_run
from stbench.train.engine import Engine
from stbench.train.interrupt import StopRequest


@dataclass(frozen=True)
class ExecutorSubject:
    """An executor under its registered name, with its default settings."""

    name: str
    plugin: type[Executor] | Executor

    def submit(self, specs: Sequence[RunSpec], root: Path) -> dict[str, Ended]:
        """How it says that each run ended, by the run's folder."""
        try:
            executor = get_executor(self.name)
        except UnavailableError as reason:
            raise NotApplicableError(str(reason)) from reason
        ended = list(executor.submit(specs, workplace(root)))
        if sorted(end.spec.folder for end in ended) != sorted(spec.folder for spec in specs):
            seen = ", ".join(end.spec.folder for end in ended) or "none"
            raise ViolationError(f"an end of each of {len(specs)} runs", seen, "submit() does not yield every run once")
        return {end.spec.folder: end for end in ended}


def workplace(root: Path) -> Workplace:
    """Where the runs go, on the CPU."""
    return Workplace(root, (), Engine("cpu", "32"))


def _expect(ended: dict[str, Ended], outcomes: dict[str, Outcome]) -> None:
    seen = {folder: end.outcome for folder, end in ended.items()}
    if seen != outcomes:
        raise ViolationError(f"{outcomes}", f"{seen}", "the folders are not asked what is done")


@check(crash_cause="submit(specs, workplace) fails")
def every_run_once(subject: ExecutorSubject) -> None:
    """It does every run, and the folders hold the results that it tells of."""
    specs = baseline_specs()
    with tempfile.TemporaryDirectory() as name:
        ended = subject.submit(specs, Path(name))
        _expect(ended, {spec.folder: "finished" for spec in specs})
        for spec in specs:
            if ended[spec.folder].result != workplace(Path(name)).folder(spec).result():
                raise ViolationError("the result in the run folder", "another one", "results are kept elsewhere")


@check(crash_cause="a finished run is in its way")
def found_done(subject: ExecutorSubject) -> None:
    """Runs that are done are found, not done again; the others are done."""
    specs = baseline_specs()
    with tempfile.TemporaryDirectory() as name:
        place = workplace(Path(name))
        do_run(specs[0], place, Datasets((), place.listener.data_opened), StopRequest())
        before = (place.folder(specs[0]).path / "result.json").read_bytes()
        outcomes: dict[str, Outcome] = {spec.folder: "finished" for spec in specs}
        _expect(subject.submit(specs, Path(name)), outcomes | {specs[0].folder: "already done"})
        if (place.folder(specs[0]).path / "result.json").read_bytes() != before:
            raise ViolationError("the result as it was", "another one", "the run was done again")


@check(crash_cause="a run fails elsewhere and not here")
def same_numbers(subject: ExecutorSubject) -> None:
    """Its results are those of this process, bit for bit."""
    specs = baseline_specs()
    with tempfile.TemporaryDirectory() as there, tempfile.TemporaryDirectory() as here:
        ended = subject.submit(specs, Path(there))
        place = workplace(Path(here))
        datasets = Datasets((), place.listener.data_opened)
        for spec in specs:
            expected, result = do_run(spec, place, datasets, StopRequest()).result, ended[spec.folder].result
            if expected is None or result is None or result.test != expected.test:
                raise ViolationError(f"the scores of {spec.folder} as made here", "others", "threads or seeds differ")


CHECKS: tuple[Check, ...] = (every_run_once, found_done, same_numbers)
