"""Where a benchmark's files are looked for, and the message when they are not there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from stbench.data.benchmarks.lookup import BENCHMARKS, load_benchmark, needs_files
from stbench.errors import UserError
from stbench.schema import Record

ENVIRONMENT_VARIABLE = "STBENCH_DATA"


class Source(Record):
    """Where a benchmark's files come from: a sentence for the user and the page to open."""

    text: str
    url: str | None = None


def data_dirs(explicit: Path | None = None) -> tuple[Path, ...]:
    """Folders to look in, in order: the one given, else those of ``$STBENCH_DATA``, else the per-user one.

    ``$STBENCH_DATA`` may name several, separated as in ``$PATH``.
    """
    if explicit is not None:
        return (explicit.expanduser(),)
    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if named.strip():
        return tuple(Path(part).expanduser() for part in named.split(os.pathsep) if part.strip())
    return (Path(platformdirs.user_data_dir("stbench", appauthor=False)),)


def candidate_folders(name: str, dirs: Sequence[Path], also: Sequence[str] = ()) -> list[Path]:
    """The folders that may hold a benchmark's files: of each dir, ``<dir>/<name>/``, ``<dir>/<also>/``, ``<dir>/``."""
    return [folder for directory in dirs for folder in (*(directory / part for part in (name, *also)), directory)]


def find_files(name: str, dirs: Sequence[Path], files: Sequence[str], also: Sequence[str] = ()) -> list[Path] | None:
    """Paths of all ``files`` in the first folder that holds them all; None where no folder does."""
    for folder in candidate_folders(name, dirs, also):
        paths = [folder / file for file in files]
        if all(path.is_file() for path in paths):
            return paths
    return None


def note_missing(name: str, options: Mapping[str, Any], dirs: Sequence[Path]) -> str:
    """One line for a plan where a benchmark's files are not here (they may be where it will run); else empty.

    Args:
        name: the benchmark.
        options: its dataset's: ``files`` (names or patterns), one ``prepared`` instead of them, ``folders``, ``path``.
        dirs: the data folders.
    """
    patterns = list(options.get("files", ()))
    if not patterns or options.get("path"):
        return ""
    folders = candidate_folders(name, dirs, options.get("folders", ()))
    choices = [patterns] + [[file] for file in (options.get("prepared"),) if file]
    for folder in (folder for folder in folders if folder.is_dir()):
        if any(all(any(folder.glob(pattern)) for pattern in choice) for choice in choices):
            return ""
    listing = ", ".join(patterns[:2]) + (f" and {len(patterns) - 2} more" if len(patterns) > 2 else "")
    looked = ", ".join(str(folder) for folder in folders)
    return f"Data not found here: {listing} in none of {looked}. To get them: stbench data get {name}"


def missing_files_error(
    name: str, dirs: Sequence[Path], wanted: Sequence[Sequence[str]], source: Source | None
) -> UserError:
    """Say which files are missing, where they were looked for, where to get them and where to put them.

    Args:
        name: the benchmark.
        dirs: the data folders that were searched.
        wanted: alternatives, each a complete set of file names; any one of them would do.
        source: where the files come from.
    """
    folders = candidate_folders(name, dirs)
    sets = "; or ".join(_missing_from(folders, files) for files in wanted)
    lines = [
        f"The files of {name} are missing: {sets}.",
        f"Looked in: {', '.join(str(folder) for folder in folders)}.",
    ]
    if source is not None:
        lines.append(f"Get them: {source.text}" + (f" {source.url}" if source.url else ""))
    lines.append(f"Put them in {folders[0]}, or name their folder with --data-dir or ${ENVIRONMENT_VARIABLE}.")
    embedded = embedded_benchmarks()
    if embedded:
        lines.append(f"No files are needed for: {', '.join(embedded)}.")
    return UserError("\n".join(lines))


def embedded_benchmarks() -> list[str]:
    """Names of the benchmarks whose data need no files; one that cannot be loaded is not among them."""
    found = []
    for name in BENCHMARKS.names():
        try:
            if not needs_files(load_benchmark(name)):
                found.append(name)
        except UserError:  # a broken plugin must not hide the message this list is for
            continue
    return found


def _missing_from(folders: Sequence[Path], files: Sequence[str]) -> str:
    """The files absent from the folder that holds most of them."""
    absent = min(([file for file in files if not (folder / file).is_file()] for folder in folders), key=len)
    return ", ".join(absent)
