"""Files of a dataset: those of a benchmark by patterns, a user's own by the list in the spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.data.benchmarks.folders import candidate_folders, data_dirs, missing_files_error
from stbench.data.formats import SUFFIXES
from stbench.data.formats.listing import expanded, files_below, files_matching, holds_all, is_data_file
from stbench.data.formats.named_files import every_name, look_up
from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.data.dataset import DatasetContext
    from stbench.data.readers.recordings import RecordedOptions


def find_folder(options: RecordedOptions, context: DatasetContext) -> Path:
    """Return the folder of the files.

    Raises:
        UserError: no folder contains all of them, or the user's own data are missing.
    """
    if options.path is not None:
        return _own_folder(options, options.path, context.data_dirs)
    for folder in candidate_folders(context.name, context.data_dirs, options.folders):
        if folder.is_dir() and holds_all(folder, options.files):
            return folder
    raise missing_files_error(context.name, context.data_dirs, options)


def chosen_paths(options: RecordedOptions, folder: Path) -> list[Path]:
    """Return the files to read.

    Raises:
        UserError: a file that was planned with is gone, or one of them is no regular file.
    """
    if options.path is None or options.listing is None:  # runs of earlier versions have patterns only
        patterns = options.files if options.path is None or len(options.files) > 1 else _literal(options.files[0])
        return [path for path in files_matching(folder, patterns) if path.suffix.lower() in SUFFIXES]
    hashed = options.listing.sha256 is not None
    return look_up(options.listing, folder, files_below(folder, SUFFIXES) if hashed else None)


def _own_folder(options: RecordedOptions, planned: Path, dirs: Sequence[Path]) -> Path:
    """Return the folder of a user's own data: below ``--data-dir``, else the recorded one, else other data folders."""
    planned = expanded(planned)
    single = options.listing is not None and options.listing.names == (planned.name,)
    home = planned.parent if single or is_data_file(planned) else planned
    others = [place for directory in dirs for place in (directory / home.name, directory)]
    named = tuple(dirs) != data_dirs()  # not from the environment, which is meant for benchmarks
    for folder in (*others, home) if named else (home, *others):
        if folder.is_dir() and _holds(options, folder):
            return folder
    if home.is_dir():
        return home  # which of its files are gone is said where they are read
    looked = ", ".join(str(folder) for folder in dict.fromkeys((home, *others)))
    raise UserError(
        f"The data of this run are gone: {planned} is not there ({looked} were looked at). Put them back, or name the "
        "folder that holds them with --data-dir."
    )


def _holds(options: RecordedOptions, folder: Path) -> bool:
    """Tell whether a folder holds every file that was written down; where only a hash was, that is seen when read."""
    if options.listing is None or options.listing.sha256 is not None:
        return holds_all(folder, options.files)
    return all(is_data_file(folder / name) for name in every_name(options.listing))


def _literal(pattern: str) -> tuple[str, ...]:
    """Return a pattern or file name with escaped brackets."""
    return (pattern,) if "*" in pattern else (pattern.replace("[", "[[]"),)
