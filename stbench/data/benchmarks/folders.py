"""Where a benchmark's files are looked for, and the message when they are not there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from stbench.data.benchmarks.download_list import downloads_of, owner_of_downloads
from stbench.data.benchmarks.lookup import BENCHMARKS, benchmark_forms, load_benchmark, needs_files
from stbench.data.dataset import ReaderOptions, reader_options
from stbench.data.formats.listing import expanded, holds_all
from stbench.errors import UserError
from stbench.schema import DatasetSpec

ENVIRONMENT_VARIABLE = "STBENCH_DATA"


def data_dirs(explicit: Path | None = None) -> tuple[Path, ...]:
    """Return the folders to look in, in order: the one given, else those of ``$STBENCH_DATA``, else the per-user one.

    ``$STBENCH_DATA`` may name several, separated as in ``$PATH``.
    """
    if explicit is not None:
        return (expanded(explicit),)
    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if named.strip():
        return tuple(expanded(part) for part in named.split(os.pathsep) if part.strip())
    return (Path(platformdirs.user_data_dir("stbench", appauthor=False)),)


def candidate_folders(name: str, dirs: Sequence[Path], also: Sequence[str] = ()) -> list[Path]:
    """Return the folders that may hold the files: ``<dir>/<name>/``, ``<dir>/<also>/``, ``<dir>/`` for each dir."""
    return [folder for directory in dirs for folder in (*(directory / part for part in (name, *also)), directory)]


def find_files(name: str, dirs: Sequence[Path], files: Sequence[str], also: Sequence[str] = ()) -> list[Path] | None:
    """Return the paths of all ``files`` in the first folder that holds them all; None if no folder does."""
    for folder in candidate_folders(name, dirs, also):
        paths = [folder / file for file in files]
        if all(path.is_file() for path in paths):
            return paths
    return None


def note_missing(name: str, spec: DatasetSpec, dirs: Sequence[Path]) -> str:
    """Return one line for a plan if a benchmark's files are not here (they may be where it will run); else empty.

    Args:
        name: the benchmark.
        spec: its reader and options.
        dirs: the data folders.
    """
    options = reader_options(name, spec)
    if not options.file_sets:
        return ""
    forms = [form["files"] for form in benchmark_forms(name)]
    folders = candidate_folders(name, dirs, options.folders)
    for folder in (folder for folder in folders if folder.is_dir()):
        if any(holds_all(folder, choice) for choice in (*options.file_sets, *forms)):
            return ""
    patterns = options.files
    listing = ", ".join(patterns[:2]) + (f" and {len(patterns) - 2} more" if len(patterns) > 2 else "")
    looked = ", ".join(str(folder) for folder in folders)
    return f"Data not found here: {listing} in none of {looked}. To get them: {get_command(name, dirs)}"


def missing_files_error(name: str, dirs: Sequence[Path], options: ReaderOptions) -> UserError:
    """Say which files are missing, where they were looked for, where to get them and where to put them.

    Args:
        name: the benchmark.
        dirs: the data folders that were searched.
        options: what is looked for, and where it comes from.
    """
    folders = candidate_folders(name, dirs, options.folders)
    home = dirs[0] / (owner_of_downloads(name) if name in BENCHMARKS.names() else name)
    sets = "; or ".join(_missing_from(folders, files) for files in options.file_sets)
    lines = [
        f"The files of {name} are missing: {sets}.",
        f"Looked in: {', '.join(str(folder) for folder in folders)}.",
    ]
    if options.source is not None:
        lines.append(f"Get them: {options.source.text}" + (f" {options.source.url}" if options.source.url else ""))
    lines.append(f"Put them in {home}, or name their folder with --data-dir or ${ENVIRONMENT_VARIABLE}.")
    embedded = embedded_benchmarks()
    if embedded:
        lines.append(f"No files are needed for: {', '.join(embedded)}.")
    lines.append(f"To get them: {get_command(name, dirs)}")
    return UserError("\n".join(lines))


def get_command(name: str, dirs: Sequence[Path]) -> str:
    """The command that brings a benchmark's files to the first of these folders."""
    linked = any(item.urls for item in downloads_of(name)) if name in BENCHMARKS.names() else False
    elsewhere = "" if linked else " --from FOLDER"
    place = "" if tuple(dirs) == data_dirs() else f" --data-dir {shlex.quote(str(dirs[0]))}"
    return f"stbench data get {name}{elsewhere}{place}"


def embedded_benchmarks() -> list[str]:
    """Return the names of the benchmarks whose data need no files; one that cannot be loaded is not among them."""
    found = []
    for name in BENCHMARKS.names():
        try:
            if not needs_files(load_benchmark(name)):
                found.append(name)
        except UserError:  # a broken plugin must not hide the message this list is for
            continue
    return found


def _missing_from(folders: Sequence[Path], files: Sequence[str]) -> str:
    """Name the files absent from the folder that holds most of them."""
    absent = min(([file for file in files if not (folder / file).is_file()] for folder in folders), key=len)
    return ", ".join(absent)
