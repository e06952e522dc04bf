"""Reading of run folders: complete ones become records, others are listed with the reason.

Axes: N test sequences, T lead times.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stbench.errors import UserError
from stbench.evaluate.scenarios.record import ScenarioResult, case_folder, read_scenarios
from stbench.metrics import get_metric
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder

DAMAGED = "cannot be read; the run's totals are shown, its intervals, tests and curves are missing"


UNREADABLE = (OSError, ValueError, KeyError)


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

    @cached_property
    def _layout(self) -> _Layout | None:
        """Layout of the file of values per sequence; None if it is missing or unreadable."""
        try:
            frame = pd.read_parquet(self.folder.file("per_sequence.parquet"), columns=["sequence", "lead_time"])
        except UNREADABLE:
            return None
        order = np.lexsort((frame["lead_time"], frame["sequence"]))
        numbers = np.unique(frame["sequence"].to_numpy())
        key = hashlib.sha256(numbers.astype(np.int64).tobytes()).hexdigest()
        in_order = bool((order == np.arange(len(order))).all())
        return _Layout(len(numbers), key, None if in_order else order)

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
            frame = pd.read_parquet(self.folder.file("per_sequence.parquet"), columns=[metric])
            values = frame[metric].to_numpy(dtype=np.float64)
        except UNREADABLE:
            return None
        ordered = values if layout.order is None else values[layout.order]
        return ordered.reshape(layout.count, -1) if len(ordered) % layout.count == 0 else None

    @cached_property
    def scenarios(self) -> dict[str, ScenarioResult]:
        """What the run gave beyond its test, by the text that asked for it; a file that cannot be read is left out."""
        try:
            return {result.name: result for result in read_scenarios(self.folder)}
        except UserError:
            return {}

    def case(self, name: str, number: int) -> RunRecord:
        """The run as it was scored in one case of a scenario."""
        case = self.scenarios[name].cases[number]
        changes = {"test": case.metrics, "test_clips": case.clips, "test_overlap": case.overlap}
        result = self.result.model_copy(update=changes)
        return RunRecord(case_folder(self.folder, name, number), self.spec, result)

    def samples(self) -> dict[str, NDArray[Any]]:
        """Recorded test clips: index (K,), past, future, prediction (K, T, C, H, W); empty if there are none."""
        file = self.folder.file("samples.npz")
        if not file.is_file():
            return {}
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return {}


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
    for path in sorted(_candidates(roots), key=lambda path: places.get(path.name, len(places))):
        folder = RunFolder(path)
        if not folder.file("spec.yaml").is_file():
            left_out[path] = "not a run folder (no spec.yaml)"
        elif not folder.is_complete:
            left_out[path] = "not finished (no result.json); the same command resumes it"
        else:
            try:
                record = RunRecord(folder, folder.spec(), folder.result())
                _check(record)
            except UserError as error:
                left_out[path] = str(error)
            else:
                key = _identity(record)
                known = records.setdefault(key, record)
                if known is not record:
                    kept, copy = (record, known) if record.complete and not known.complete else (known, record)
                    records[key] = kept
                    left_out[copy.folder.path] = _why_copy(copy, kept)
    left_out |= {file: DAMAGED for file in (record.damaged for record in records.values()) if file is not None}
    return Collected(tuple(records.values()), left_out)


def records_of(specs: Sequence[RunSpec], root: Path) -> tuple[RunRecord, ...]:
    """Return the complete runs among those of a plan."""
    folders = [RunFolder(root / spec.folder) for spec in specs]
    return tuple(RunRecord(f, f.spec(), f.result()) for f in folders if f.is_complete)


def _identity(record: RunRecord) -> str:
    """Return a key that is equal for runs with the same numbers."""
    spec = record.spec
    if spec.trained:
        return spec.run_id
    return f"{spec.model_copy(update={'seed': 0}).run_id} {record.result.data_fingerprint}"


def _why_copy(copy: RunRecord, kept: RunRecord) -> str:
    same = "the same run as" if copy.spec.seed == kept.spec.seed else "no training, so no seed: the same numbers as"
    damage = f", and its {copy.damaged.name} cannot be read" if copy.damaged is not None else ""
    return f"{same} {kept.folder.path}{damage}"


def _check(record: RunRecord) -> None:
    """Check that a result belongs to the spec beside it and that its metrics are installed.

    Raises:
        UserError: it does not, or a metric is not installed.
    """
    expected, seen = record.spec.run_id, record.result.run_id
    if expected != seen:
        raise UserError(f"result.json is of run {seen}, spec.yaml describes {expected}: one of them was changed")
    for name in record.spec.evaluation.metrics:
        get_metric(name)


def _candidates(roots: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root} is not a folder. Give run folders, or folders that hold some.")
        if (root / "spec.yaml").is_file():
            found.append(root)
        else:
            found.extend(sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    return found
