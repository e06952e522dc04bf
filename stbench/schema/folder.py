"""A run's folder on disk: names of its files, and atomic writes.

A folder with a ``result.json`` is complete; any other is resumed or repeated.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from stbench.errors import UserError, cannot, counted
from stbench.schema.atomic import lock, write_text, write_with
from stbench.schema.base import Record
from stbench.schema.run import RunResult, RunSpec
from stbench.settings import load_yaml

__all__ = ["RunFolder", "finished_run", "read_at_most", "runs_below", "write_text", "write_with"]

R = TypeVar("R", bound=Record)
LARGEST_RECORD = 64 << 20
"""Bytes of a record (spec, result, environment, history) beyond which it is no file of stbench's."""
DAMAGED = ".damaged"
PRUNED = "pruned.json"
"""File that asks a run of a search to end after its epoch, wherever it runs; it says why."""
MOST_SPECS = 4096
SETTLED_SECONDS = 2.0
"""Age of a file from which its time of change tells a later change from this one."""
_SPECS: dict[tuple[str, int, int, int], RunSpec] = {}
"""Specs by file and its state: a command reads each several times, and parsing YAML takes longest."""


def read_at_most(path: Path, most: int) -> bytes:
    """Read a file that may come from anyone.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``most`` bytes.
    """
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most} bytes")
    return content


def runs_below(out: Path) -> Path:
    """Return the folder of run folders of an output folder: OUT/runs where that exists, else OUT itself."""
    return out / "runs" if (out / "runs").is_dir() else out


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        """Return the path of a file of the run: ``per_sequence.parquet``, ``samples.npz``, ``learning_rate.npy`` …"""
        return self.path / name

    @property
    def checkpoints(self) -> Path:
        """Path of the folder of checkpoints."""
        return self.path / "checkpoints"

    def hide(self) -> Path:
        """Rename the folder, whose lock is held, so that no command finds it; return where it is now."""
        return self.path.rename(self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}"))

    @property
    def is_complete(self) -> bool:
        """True if the run finished or failed permanently."""
        return self.file("result.json").is_file()

    def create(self, spec: RunSpec) -> None:
        """Create the folder and write the spec.

        What a killed process left half written is removed, and the result of an attempt that is being repeated.

        Raises:
            UserError, MachineError: the folder cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            for orphan in self.path.rglob(".*.tmp"):
                orphan.unlink(missing_ok=True)
            self.file("result.json").unlink(missing_ok=True)
            write_text(self.file("spec.yaml"), yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False))
        except OSError as error:
            advice = "Choose another folder with --out, or free space and check its permissions."
            raise cannot(f"Cannot write the run folder {self.path}", error, advice) from error

    def locked(self) -> AbstractContextManager[bool]:
        """Lock the run for this process; False if another process holds it. A kill releases the lock."""
        return lock(self.file(".lock"))

    def spec(self) -> RunSpec:
        """The resolved spec.

        Raises:
            UserError: it is missing or invalid.
        """
        file = self.file("spec.yaml")
        try:
            state = file.stat()
        except OSError:
            return self._parsed_spec()
        key = (str(file.absolute()), state.st_ino, state.st_size, state.st_mtime_ns)
        if key in _SPECS:
            return _SPECS[key]
        spec = self._parsed_spec()
        if time.time() - state.st_mtime > SETTLED_SECONDS and len(_SPECS) < MOST_SPECS:
            _SPECS[key] = spec
        return spec

    def _parsed_spec(self) -> RunSpec:
        return _one_line(RunSpec, self._load("spec.yaml", load_yaml), self.file("spec.yaml"))

    def result(self) -> RunResult:
        """The result of a complete run.

        Raises:
            UserError: it is missing, invalid, or no longer what the run wrote.
        """
        result = _one_line(RunResult, self._load("result.json", json.loads), self.file("result.json"))
        if result.checksum and result.checksum != result.values_hash:
            raise UserError(
                f"{self.file('result.json')} was changed after the run wrote it: its checksum belongs to other values. "
                f"Restore it, or delete it: the same 'stbench run' command scores the run again."
            )
        return result.model_copy(update={"checksum": ""})

    def environment(self) -> dict[str, Any]:
        """The run's environment; empty if it was not recorded.

        Raises:
            UserError: it is no mapping.
        """
        if not self.file("environment.json").is_file():
            return {}
        values = self._load("environment.json", json.loads)
        if not isinstance(values, dict):
            raise self._unreadable("environment.json", f"expected a mapping, found a {type(values).__name__}")
        return values

    def history(self) -> list[dict[str, Any]]:
        """Records of finished epochs; empty for an untrained method.

        Raises:
            UserError: a line is no record.
        """
        if not self.file("history.jsonl").is_file():
            return []
        records = self._load("history.jsonl", lambda text: [json.loads(line) for line in text.splitlines()])
        if not all(isinstance(record, dict) for record in records):
            raise self._unreadable("history.jsonl", "a line is no mapping")
        return cast("list[dict[str, Any]]", records)

    def history_so_far(self) -> list[dict[str, Any]]:
        """Records of finished epochs of a run that another process may be doing; none while a line is being written."""
        try:
            return self.history()
        except (OSError, UserError):
            return []

    def prune(self, reason: str) -> None:
        """Ask the run, whichever process does it, to end after its epoch."""
        write_text(self.file(PRUNED), json.dumps({"reason": reason}))

    def why_pruned(self) -> str | None:
        """Return why the run was asked to end; None if it was not."""
        if not self.file(PRUNED).is_file():
            return None
        values = self._load(PRUNED, json.loads)
        return str(values.get("reason", "")) if isinstance(values, dict) else ""

    def put_aside(self, name: str) -> None:
        """Rename a damaged file, so that it is not read and not lost."""
        self.file(name).replace(self.file(f"{name}{DAMAGED}"))

    def write_result(self, result: RunResult) -> None:
        """Write the result, which completes the run. A success removes ``error.txt`` of an earlier failure."""
        if result.status == "finished":
            self.file("error.txt").unlink(missing_ok=True)
        sealed = result.model_copy(update={"checksum": result.values_hash})
        write_text(self.file("result.json"), sealed.model_dump_json(indent=2))

    def write_history(self, epochs: Iterable[dict[str, Any]]) -> None:
        """Replace the history with these records."""
        write_text(self.file("history.jsonl"), "".join(json.dumps(epoch) + "\n" for epoch in epochs))

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Record the environment; that of an earlier part of the run is kept under ``earlier`` if it differs."""
        try:
            before = self.environment()
        except UserError:
            self.put_aside("environment.json")
            before = {}
        earlier = before.pop("earlier", [])
        if before and {**before, **environment} == before:  # equal except for facts that the run added
            environment = before
        elif before:
            earlier = [*earlier, before]
        record = {**environment, **({"earlier": earlier} if earlier else {})}
        write_text(self.file("environment.json"), json.dumps(record, indent=2))

    def labels(self) -> dict[str, list[str]]:
        """Names and tags of the experiments that the run belongs to; empty lists if none are recorded.

        Raises:
            UserError: the file is no mapping of lists.
        """
        known: dict[str, list[str]] = {"names": [], "tags": []}
        if not self.file("labels.json").is_file():
            return known
        values = self._load("labels.json", json.loads)
        if not isinstance(values, dict) or not all(isinstance(values.get(key, []), list) for key in known):
            raise self._unreadable("labels.json", "expected lists of names and tags")
        return {key: [str(label) for label in values.get(key, [])] for key in known}

    def add_labels(self, name: str, tags: Sequence[str]) -> None:
        """Record that the run belongs to an experiment; earlier labels stay."""
        before = self.labels()
        added = {"names": [name] if name else [], "tags": tags}
        after = {key: list(dict.fromkeys([*labels, *added[key]])) for key, labels in before.items()}
        if after != before:
            write_text(self.file("labels.json"), json.dumps(after, indent=2))

    def add_to_environment(self, **facts: Any) -> None:
        """Add facts about the run to its recorded environment."""
        before = self.environment()
        if {**before, **facts} != before:
            write_text(self.file("environment.json"), json.dumps({**before, **facts}, indent=2))

    def _load(self, name: str, read: Callable[[str], Any]) -> Any:
        path = self.file(name)
        try:
            return read(read_at_most(path, LARGEST_RECORD).decode())
        except OSError as error:
            raise cannot(f"{path} cannot be read", error, "Repair it, or move its run folder away.") from error
        except (ValueError, RecursionError) as error:
            raise self._unreadable(name, str(error)) from error

    def _unreadable(self, name: str, reason: str) -> UserError:
        return UserError(f"{self.file(name)} cannot be read: {reason}. Repair it, or move its run folder away.")


def _one_line(record: type[R], values: Any, path: Path) -> R:
    """Parse a file that stbench wrote; report only the first problem, since the file is torn or of another version.

    Raises:
        UserError: the values are not a valid record.
    """
    try:
        return record.parse(values, str(path))
    except UserError as error:
        first, *others = str(error).splitlines()
        raise UserError(f"{first} {counted(len(others), 'more problem')} of this kind." if others else first) from None


def finished_run(path: Path) -> RunFolder:
    """Return a run folder that has a result.

    Raises:
        UserError: it is not a run folder, not finished, or failed.
    """
    folder = RunFolder(path)
    if not folder.file("spec.yaml").is_file():
        raise UserError(f"{path} is not a run folder: it has no spec.yaml. Give a folder below OUT/runs/.")
    if not folder.is_complete:
        raise UserError(f"{path} is not finished: it has no result.json. The same 'stbench run' command resumes it.")
    result = folder.result()
    if result.failure is not None:
        raise UserError(f"{path} failed ({result.failure.kind}: {result.failure.reason}); it has no weights to use.")
    return folder
