"""Reading of run folders: complete ones become records, others are listed with the reason.

Axes: N test sequences, T lead times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stbench.errors import UserError, first_line
from stbench.evaluate.scenarios.record import ScenarioResult, case_folder, folder_of, read_scenarios
from stbench.metrics import get_metric, with_companions
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder
from stbench.schema.samples import read_samples

DAMAGED = "cannot be read; the run's totals are shown, its intervals, tests and curves are missing"
MOST_CLIPS = 1_000_000
"""Test clips of a run that does not say how many it has."""
MOST_READERS = 8
"""Files read at once."""


@dataclass(frozen=True)
class _Layout:
    """Rows of a file of values per sequence: number of sequences, a hash of their numbers, and the reading order.

    ``order`` is None if the rows are already in order.
    """

    count: int
    key: str
    order: NDArray[np.intp] | None


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
    def _layout(self) -> _Layout | None:
        return self._read_layout()

    def _read_layout(self) -> _Layout | None:
        """Layout of the file of values per sequence; None if it is missing or unreadable."""
        try:
            sequence, lead_time = self._columns("sequence", "lead_time")
            return _layout_of(sequence, lead_time, self.spec.shape.t_out)
        except Exception:  # a damaged file fails in any way
            return None

    def _columns(self, *names: str) -> list[NDArray[Any]]:
        """Columns of the file of values per sequence.

        Raises:
            ValueError: it is no regular file, or holds more rows than the run has test clips, or other than numbers.
        """
        file = self.folder.file("per_sequence.parquet")
        if not file.is_file():
            raise ValueError("no file")
        with pq.ParquetFile(file) as columns:
            rows, types = columns.metadata.num_rows, columns.schema_arrow.types
            if rows > (self.result.test_clips or MOST_CLIPS) * self.spec.shape.t_out:
                raise ValueError(f"{rows} rows")
            if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in types):
                raise ValueError("columns of other than numbers")
            table = columns.read(list(names), use_threads=False)  # the caller reads several files at once
        return [table[name].to_numpy() for name in names]

    @property
    def damaged(self) -> Path | None:
        """The file of values per sequence if it exists and cannot be read."""
        file = self.folder.file("per_sequence.parquet")
        return file if self._layout is None and file.exists() else None

    @property
    def complete(self) -> bool:
        """True if the run has numbers, also for every sequence."""
        return self.finished and self._layout is not None

    @property
    def sequence_count(self) -> int:
        """Number of scored test sequences; 0 if their values were not recorded."""
        return 0 if self._layout is None else self._layout.count

    @property
    def sequence_key(self) -> str:
        """Hash of the scored sequences' numbers; equal for runs scored on the same sequences."""
        return "" if self._layout is None else self._layout.key

    def frame_values(self, metric: str) -> NDArray[np.float64] | None:
        """Return the values (N, T) of one metric, sequences ascending; None if not recorded.

        The column is read at each call and not cached, so that a report of many runs holds one at a time.
        """
        layout = self._layout
        if layout is None or layout.count == 0:
            return None
        try:
            values = self._columns(metric)[0].astype(np.float64, copy=False)
        except Exception:  # a damaged file fails in any way
            return None
        ordered = values if layout.order is None else values[layout.order]
        return ordered.reshape(layout.count, -1) if len(ordered) % layout.count == 0 else None

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


def _layout_of(sequence: NDArray[Any], lead_time: NDArray[Any], lead_times: int) -> _Layout:
    """The layout of a file of values per sequence, from two of its columns.

    Raises:
        ValueError: its rows are not every sequence at every lead time.
    """
    if sequence.dtype.kind not in "iu" or lead_time.dtype.kind not in "iu":
        raise ValueError("its numbers are not whole")
    numbers = _numbers_in_order(sequence, lead_time, lead_times)
    order = None
    if numbers is None:
        sorted_ = np.lexsort((lead_time, sequence))
        numbers, counts = np.unique(sequence, return_counts=True)
        if (counts != lead_times).any():
            raise ValueError("a sequence lacks lead times")
        order = None if (sorted_ == np.arange(len(sorted_))).all() else sorted_
    key = hashlib.sha256(numbers.astype(np.int64).tobytes()).hexdigest()
    return _Layout(len(numbers), key, order)


def _numbers_in_order(sequence: NDArray[Any], lead_time: NDArray[Any], lead_times: int) -> NDArray[Any] | None:
    """The sequences' numbers (N,) where rows are as scoring writes them, which needs no sorting; else None."""
    if not len(sequence) or len(sequence) % lead_times:
        return None
    sequence_NT, lead_NT = sequence.reshape(-1, lead_times), lead_time.reshape(-1, lead_times)
    whole = (sequence_NT == sequence_NT[:, :1]).all() and (lead_NT[1:] == lead_NT[:-1]).all()
    ascending = (sequence_NT[1:, 0] > sequence_NT[:-1, 0]).all() and (lead_NT[0, 1:] > lead_NT[0, :-1]).all()
    return sequence_NT[:, 0] if whole and ascending else None


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
        vars(record)["_layout"] = record._read_layout()  # before Python 3.12 a cached_property lets one thread in
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
