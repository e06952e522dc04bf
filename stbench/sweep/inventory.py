"""Run folders below an output folder: what each holds, its state and its size. Changes nothing, imports no torch."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from stbench.errors import UserError, first_line, unknown_name
from stbench.schema import RunResult, RunSpec
from stbench.schema.folder import RunFolder, runs_below
from stbench.settings import leaves

State = Literal["finished", "failed", "unfinished", "in use", "unreadable"]
STATES: tuple[State, ...] = ("finished", "failed", "unfinished", "in use", "unreadable")


@dataclass(frozen=True)
class Entry:
    """A run folder: its state, and its records as far as they can be read."""

    path: Path
    state: State
    spec: RunSpec | None = None
    result: RunResult | None = None
    labels: dict[str, list[str]] = field(default_factory=dict)
    reason: str = ""

    @cached_property
    def size(self) -> int:
        """Bytes of all files; those behind links do not count."""
        return size_of(self.path)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts of a list, for JSON."""
        spec, result = self.spec, self.result
        return {
            "run": self.path.name,
            "path": str(self.path),
            "state": self.state,
            "method": None if spec is None else spec.method,
            "dataset": None if spec is None else spec.benchmark,
            "protocol": None if spec is None else spec.protocol,
            "seed": None if spec is None else spec.seed,
            "names": self.labels.get("names", []),
            "tags": self.labels.get("tags", []),
            "bytes": self.size,
            "finished_at": "" if result is None else result.finished_at,
            "scores": {} if result is None else {name: score.total for name, score in result.test.items()},
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Filter:
    """Which runs a command is about; empty fields let all pass. A method's name also selects its variants."""

    methods: Sequence[str] = ()
    datasets: Sequence[str] = ()
    protocols: Sequence[str] = ()
    states: Sequence[str] = ()
    tags: Sequence[str] = ()
    names: Sequence[str] = ()

    def passes(self, entry: Entry) -> bool:
        """Return whether a run is among those that are asked for."""
        spec = entry.spec
        methods = () if spec is None else (spec.method, spec.plugin)
        return all(
            not wanted or bool({*wanted} & {*found})
            for wanted, found in (
                (self.methods, methods),
                (self.datasets, () if spec is None else (spec.benchmark,)),
                (self.protocols, () if spec is None else (spec.protocol,)),
                (self.states, (entry.state,)),
                (self.tags, entry.labels.get("tags", ())),
                (self.names, entry.labels.get("names", ())),
            )
        )


def runs_folder(out: Path) -> Path:
    """Return the folder of run folders: OUT/runs where that exists, else OUT itself.

    Raises:
        UserError: OUT is no folder.
    """
    if not out.is_dir():
        raise UserError(f"{out} is not a folder. Give the output folder of 'stbench run' (--out).")
    return runs_below(out)


def inventory(out: Path, wanted: Filter | None = None) -> list[Entry]:
    """Return the runs of an output folder by name; folders behind links are left out.

    Raises:
        UserError: OUT is no folder, or a state is unknown.
    """
    wanted = wanted or Filter()
    for state in wanted.states:
        if state not in STATES:
            raise unknown_name("state", state, STATES)
    entries = (_entry(RunFolder(path)) for path in sorted(folders_in(runs_folder(out))) if path.name[0] != ".")
    return [entry for entry in entries if wanted.passes(entry)]


def find_run(text: str, out: Path) -> Entry:
    """Return a run by its folder's path, its name, its run id, or the beginning of one.

    Raises:
        UserError: none or several match.
    """
    if (Path(text) / "spec.yaml").is_file():
        return _entry(RunFolder(Path(text)))
    names = [path.name for path in folders_in(runs_folder(out)) if path.name[0] != "."]
    matching: tuple[Callable[[str], bool], ...] = (
        lambda name: name == text,
        lambda name: name.rpartition("-")[2].startswith(text) or name.startswith(text),
    )
    for matches in matching:
        found = [name for name in names if matches(name)]
        if len(found) == 1:
            return _entry(RunFolder(runs_folder(out) / found[0]))
        if found:
            raise UserError(f"{text!r} is the beginning of several runs: {', '.join(sorted(found))}. Give more of it.")
    raise unknown_name("run", text, names)


def folders_in(root: Path) -> Iterator[Path]:
    """Yield the folders directly below one, hidden ones too; never links."""
    with os.scandir(root) as found:
        yield from (Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False))


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # a running process has replaced it
                continue
    return total


def is_held(folder: RunFolder) -> bool:
    """Return whether another process has locked a run."""
    try:
        with folder.file(".lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _entry(folder: RunFolder) -> Entry:
    held = is_held(folder)
    try:
        spec, labels = folder.spec(), folder.labels()
        result = folder.result() if folder.is_complete else None
    except Exception as error:  # whatever is odd about a folder concerns no other
        return Entry(folder.path, "in use" if held else "unreadable", reason=first_line(error))
    state: State = "unfinished" if result is None else result.status
    failure = "" if result is None or result.failure is None else f"{result.failure.kind}: {result.failure.reason}"
    return Entry(folder.path, "in use" if held else state, spec, result, labels, failure)


def differences(first: RunSpec, second: RunSpec) -> dict[str, tuple[Any, Any]]:
    """Return the values in which two specs differ by dotted key; None where one lacks the key."""
    missing = object()
    a, b = ({".".join(path): value for path, value in _leaves(spec)} for spec in (first, second))
    keys = [key for key in dict.fromkeys([*a, *b]) if a.get(key, missing) != b.get(key, missing)]
    return {key: (a.get(key), b.get(key)) for key in keys}


def _leaves(spec: RunSpec) -> Iterator[tuple[tuple[str, ...], Any]]:
    return leaves(spec.model_dump(mode="json", exclude={"origins"}))
