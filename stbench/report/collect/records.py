"""Reading of run folders: complete ones become records, others are listed with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from stbench.errors import UserError, first_line
from stbench.evaluate.scenarios.record import ScenarioResult, case_folder, folder_of, read_scenarios
from stbench.metrics import get_metric, with_companions
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder
from stbench.schema.samples import read_samples
from stbench.schema.sequences import MOST_CLIPS, SequenceValues

DAMAGED = "cannot be read; the run's totals are shown, its intervals, tests and curves are missing"
MOST_READERS = 8
"""Files read at once."""


@dataclass(frozen=True)
class RunRecord:
    """A complete run, finished or failed, and its folder."""

    folder: RunFolder
    spec: RunSpec
    result: RunResult

    @property
    def name(self) -> str:
        """The run folder's name."""
        return self.folder.path.name

    @property
    def finished(self) -> bool:
        """True if the run has numbers."""
        return self.result.status == "finished"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that the run was to measure, and those beside them that it did (earlier versions did not)."""
        listed = self.spec.evaluation.listed
        return tuple(name for name in with_companions(listed) if name in listed or name in self.result.test)

    @cached_property
    def values(self) -> SequenceValues:
        """Values per test sequence."""
        return self.open_values()

    def open_values(self) -> SequenceValues:
        """Open the file of values per sequence; :attr:`values` keeps it."""
        return SequenceValues(self.folder.path, self.spec.shape.t_out, self.result.test_clips or MOST_CLIPS)

    @property
    def damaged(self) -> Path | None:
        """The file of values per sequence if it exists and cannot be read."""
        return self.values.file if self.values.sequences is None and self.values.file.exists() else None

    @property
    def complete(self) -> bool:
        """True if the run has numbers, also for every sequence at every lead time."""
        return self.finished and self.values.readable

    @property
    def sequence_count(self) -> int:
        """Number of scored test sequences; 0 if their values were not recorded."""
        return 0 if self.values.sequences is None else self.values.sequences.count

    @property
    def sequence_key(self) -> str:
        """Hash of the scored sequences' numbers; equal for runs scored on the same sequences."""
        return "" if self.values.sequences is None else self.values.sequences.key

    @property
    def incomplete(self) -> bool:
        """True if the data lack values."""
        return self.result.missing_truth is not None

    @cached_property
    def _scenarios(self) -> tuple[dict[str, ScenarioResult], dict[Path, str]]:
        found, odd = read_scenarios(self.folder)
        for name, result in list(found.items()):
            reason = _why_odd(result, self.result)
            if reason:
                odd[folder_of(self.folder, name)] = reason
                del found[name]
        return found, odd

    @property
    def scenarios(self) -> dict[str, ScenarioResult]:
        """What the run gave beyond its test, by the text that asked for it."""
        return self._scenarios[0]

    @property
    def odd_scenarios(self) -> dict[Path, str]:
        """Results of scenarios that are left out, with the reason."""
        return self._scenarios[1]

    def case(self, name: str, number: int) -> RunRecord:
        """The run as it was scored in one case of a scenario."""
        scenario = self.scenarios[name]
        case = scenario.cases[number]
        changes = {"test": case.metrics, "test_clips": case.clips, "test_overlap": case.overlap}
        result = self.result.model_copy(update=changes)
        shape = self.spec.shape.model_copy(update={"t_out": case.horizon or self.spec.shape.t_out})
        spec = self.spec.model_copy(update={"shape": shape})
        return RunRecord(case_folder(self.folder, scenario, number), spec, result)

    def samples(self) -> dict[str, NDArray[Any]]:
        """Recorded test clips: index (K,), past, future, prediction (K, T, C, H, W); empty if there are none."""
        return read_samples(self.folder.file("samples.npz"), self.spec.shape)


@dataclass(frozen=True)
class Collected:
    """Complete runs, and other folders with the reason."""

    records: tuple[RunRecord, ...]
    left_out: dict[Path, str]


def collect(roots: Iterable[Path], first: Sequence[str] = ()) -> Collected:
    """Read every run folder at or directly below the given folders, those named in ``first`` before the others.

    Of several copies of a run, the first with all its numbers counts. For untrained methods, runs of other seeds are
    copies too.

    Raises:
        UserError: a given folder does not exist.
    """
    records: dict[str, RunRecord] = {}
    left_out: dict[Path, str] = {}
    places = {name: place for place, name in enumerate(first)}
    paths = sorted(_candidates(roots), key=lambda path: places.get(path.name, len(places)))
    with several_readers() as readers:
        everything = list(readers.map(_read, map(RunFolder, paths)))
    for path, read in zip(paths, everything, strict=True):
        if isinstance(read, str):
            left_out[path] = read
            continue
        key = _identity(read)
        known = records.setdefault(key, read)
        if known is not read:
            kept, copy = (read, known) if read.complete and not known.complete else (known, read)
            records[key] = kept
            left_out[copy.folder.path] = _why_copy(copy, kept)
    for record in records.values():
        left_out |= {record.damaged: DAMAGED} if record.damaged is not None else {}
        left_out |= record.odd_scenarios
    return Collected(tuple(records.values()), left_out)


def several_readers() -> ThreadPoolExecutor:
    """Threads that read one file each: decoding leaves the interpreter free, and disks answer several at once."""
    return ThreadPoolExecutor(min(MOST_READERS, len(os.sched_getaffinity(0))))


def records_of(specs: Sequence[RunSpec], root: Path) -> tuple[RunRecord, ...]:
    """Return the complete runs among those of a plan."""
    folders = [RunFolder(root / spec.folder) for spec in specs]
    return tuple(RunRecord(f, f.spec(), f.result()) for f in folders if f.is_complete)


def _identity(record: RunRecord) -> str:
    """Return a key that is equal for runs with the same numbers: a run id names the data's place, not their content."""
    spec = record.spec if record.spec.trained else record.spec.model_copy(update={"seed": 0})
    return f"{spec.run_id} {record.result.data_fingerprint}"


def _why_copy(copy: RunRecord, kept: RunRecord) -> str:
    codes = copy.result.method_source, kept.result.method_source
    if all(codes) and codes[0] != codes[1]:
        return (
            f"the same settings, seed and data as {kept.folder.path}, by other code (method source {codes[0]}, there "
            f"{codes[1]}); a seed counts once. Report it alone to see it."
        )
    same = "the same run as" if copy.spec.seed == kept.spec.seed else "no training, so no seed: the same numbers as"
    damage = f", and its {copy.damaged.name} cannot be read" if copy.damaged is not None else ""
    return f"{same} {kept.folder.path}{damage}"


def _read(folder: RunFolder) -> RunRecord | str:
    """A complete run, or why a folder holds none: whatever is odd about it concerns no other."""
    try:
        if not folder.file("spec.yaml").is_file():
            return "not a run folder (no spec.yaml)"
        if not folder.is_complete:
            return "not finished (no result.json); the same command resumes it"
        record = RunRecord(folder, folder.spec(), folder.result())
        _check(record)
        vars(record)["values"] = record.open_values()  # before Python 3.12 a cached_property lets one thread in
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"cannot be read ({type(error).__name__}: {first_line(error)})"
    return record


def _check(record: RunRecord) -> None:
    """A result must be of the spec beside it, whole, and its metrics must be known.

    Raises:
        UserError: it is not, or a metric is not installed.
    """
    spec, result = record.spec, record.result
    if spec.run_id != result.run_id:
        raise UserError(f"result.json is of run {result.run_id}, spec.yaml describes {spec.run_id}: one was changed")
    if (result.failure is None) != record.finished:
        raise UserError(
            f"result.json says {result.status!r} and gives {'no' if result.failure is None else 'a'} failure"
        )
    if record.finished and not {*result.test, *result.unavailable} >= set(spec.evaluation.metrics):
        raise UserError("result.json says 'finished' and lacks a metric of its spec")
    for name, score in result.test.items():
        if len(score.lead_times) != spec.shape.t_out:
            raise UserError(
                f"result.json has {len(score.lead_times)} lead times of {name}, its spec {spec.shape.t_out}"
            )
    for name in {*spec.evaluation.listed, *result.test}:
        get_metric(name)


def _why_odd(scenario: ScenarioResult, result: RunResult) -> str:
    """Why the result of a scenario cannot be shown beside its run's; empty where it can."""
    if scenario.run_id != result.run_id:
        return f"it is of run {scenario.run_id}, its folder of {result.run_id}"
    try:
        for case in scenario.cases:
            for name in case.metrics:
                get_metric(name)
    except UserError as error:
        return first_line(error)
    return ""


def _candidates(roots: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root} is not a folder. Give run folders, or folders that hold some.")
        if (root / "spec.yaml").is_file():
            found.append(root)
        else:
            try:
                beside = sorted(root.iterdir())
            except OSError as error:
                raise UserError(f"{root} cannot be read: {error.strerror or error}. Check its permissions.") from error
            found.extend(path for path in beside if path.is_dir() and not path.name.startswith("."))
    return found
