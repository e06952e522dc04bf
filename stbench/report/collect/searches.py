"""Searches (``stbench tune``), which travel in a bundle with the runs of their best settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from stbench.errors import UserError
from stbench.report.collect.profiles import beside
from stbench.schema.folder import RunFolder, read_at_most
from stbench.schema.trial import Tuned

FOLDER = "tune"
RECORD = "tune.json"
LARGEST_RECORD = 32 << 20


def find_search(roots: Sequence[Path]) -> Path | None:
    """Return the folder of the search in or beside the roots; None if there is none.

    Raises:
        UserError: there are several.
    """
    found = [folder for folder in beside(roots, FOLDER) if (folder / RECORD).is_file()]
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]} are two searches, and a bundle holds one. Bundle them apart.")
    return found[0] if found else None


def read_search(folder: Path) -> Tuned:
    """Read the record of a search.

    Raises:
        UserError: it cannot be read, or names a run by more than a plain name.
    """
    path = folder / RECORD
    try:
        values = json.loads(read_at_most(path, LARGEST_RECORD))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as a search: {error}. 'stbench tune' writes one.") from error
    tuned = Tuned.parse(values, str(path))
    for trial in tuned.trials:
        if trial.run in (".", "..") or Path(trial.run).name != trial.run:
            raise UserError(f"{path} names a run {trial.run!r}, which is no plain name. Do not use this search.")
    return tuned


def trial_folders(tuned: Tuned, folder: Path) -> Iterator[RunFolder]:
    """Yield the run folders of a search's trials, each once; trials whose settings were refused have none."""
    for name in dict.fromkeys(trial.run for trial in tuned.trials if trial.run):
        yield RunFolder(folder / "runs" / name)


def wrong_trials(tuned: Tuned, folder: Path) -> Iterator[str]:
    """Yield one line per trial whose error is not the lowest of the epochs that its run recorded."""
    for trial in tuned.trials:
        if not trial.run:
            continue
        key = f"val_{tuned.metric}"
        try:
            history = RunFolder(folder / "runs" / trial.run).history()
            errors = [float(record[key]) for record in history if key in record]
        except (OSError, UserError, TypeError, ValueError) as error:
            yield f"{trial.method}, trial {trial.number}: its history cannot be read ({error})"
            continue
        lowest = min(errors, default=None)
        if lowest != trial.value:
            yield f"{trial.method}, trial {trial.number}: {trial.value!r}, the epochs of its run give {lowest!r}"
