"""A run's folder on disk: names of its files, and atomic writes.

A folder with a ``result.json`` is complete; any other is resumed or repeated.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from stbench.errors import UserError, counted
from stbench.schema.base import Record
from stbench.schema.run import RunResult, RunSpec
from stbench.settings import load_yaml

R = TypeVar("R", bound=Record)


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_with(path, lambda p: p.write_text(text, encoding="utf-8"))


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

    @property
    def is_complete(self) -> bool:
        """True if the run finished or failed permanently."""
        return self.file("result.json").is_file()

    def create(self, spec: RunSpec) -> None:
        """Create the folder and write the spec.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            for orphan in self.path.rglob(".*.tmp"):
                orphan.unlink(missing_ok=True)
            write_text(self.file("spec.yaml"), yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False))
        except OSError as error:
            raise UserError(
                f"Cannot write the run folder {self.path}: {error.strerror or error}. "
                "Choose another folder with --out, or free space and check its permissions."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Lock the run for this process; a kill releases the lock.

        Yields False if another process holds it.
        """
        with self.file(".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def spec(self) -> RunSpec:
        """The resolved spec.

        Raises:
            UserError: it is missing or invalid.
        """
        return _one_line(RunSpec, self._load("spec.yaml", load_yaml), self.file("spec.yaml"))

    def result(self) -> RunResult:
        """The result of a complete run.

        Raises:
            UserError: it is missing or invalid.
        """
        return _one_line(RunResult, self._load("result.json", json.loads), self.file("result.json"))

    def environment(self) -> dict[str, Any]:
        """The run's environment; empty if it was not recorded."""
        if not self.file("environment.json").is_file():
            return {}
        return cast("dict[str, Any]", self._load("environment.json", json.loads))

    def history(self) -> list[dict[str, Any]]:
        """Records of finished epochs; empty for an untrained method."""
        path = self.file("history.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def put_aside(self, name: str) -> None:
        """Rename a damaged file, so that it is not read and not lost."""
        self.file(name).replace(self.file(f"{name}.damaged"))

    def write_result(self, result: RunResult) -> None:
        """Write the result, which completes the run."""
        write_text(self.file("result.json"), result.model_dump_json(indent=2))

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

    def add_to_environment(self, **facts: Any) -> None:
        """Add facts about the run to its recorded environment."""
        before = self.environment()
        if {**before, **facts} != before:
            write_text(self.file("environment.json"), json.dumps({**before, **facts}, indent=2))

    def _load(self, name: str, read: Callable[[str], Any]) -> Any:
        path = self.file(name)
        try:
            return read(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}. Repair it, or move its run folder away.") from error


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
