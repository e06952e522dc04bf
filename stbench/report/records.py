"""Read run folders: whole ones become records, everything else is named with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stbench.errors import UserError
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder


@dataclass(frozen=True)
class RunRecord:
    """A complete run, finished or failed, and where it lies."""

    folder: RunFolder
    spec: RunSpec
    result: RunResult


@dataclass(frozen=True)
class Collected:
    """Complete runs, and folders that are not, with the reason."""

    records: tuple[RunRecord, ...]
    left_out: dict[Path, str]


def collect(roots: Iterable[Path]) -> Collected:
    """Read every run folder at or directly below the given folders.

    Raises:
        UserError: a given folder does not exist.
    """
    records: dict[str, RunRecord] = {}
    left_out: dict[Path, str] = {}
    for path in _candidates(roots):
        folder = RunFolder(path)
        if not folder.file("spec.yaml").is_file():
            left_out[path] = "not a run folder (no spec.yaml)"
        elif not folder.is_complete:
            left_out[path] = "not finished (no result.json); the same command resumes it"
        else:
            try:
                record = RunRecord(folder, folder.spec(), folder.result())
            except UserError as error:
                left_out[path] = str(error)
            else:
                records.setdefault(record.result.run_id, record)
    return Collected(tuple(records.values()), left_out)


def records_of(specs: Sequence[RunSpec], root: Path) -> tuple[RunRecord, ...]:
    """The complete runs among those of a plan."""
    folders = [RunFolder(root / spec.folder) for spec in specs]
    return tuple(RunRecord(f, f.spec(), f.result()) for f in folders if f.is_complete)


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
