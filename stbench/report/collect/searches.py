"""Searches (``stbench tune``), which travel in a bundle with the runs of their best settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stbench.errors import UserError
from stbench.report.collect.profiles import beside
from stbench.schema import RunSpec
from stbench.schema.folder import RunFolder, read_at_most
from stbench.schema.trial import Trial, Tuned
from stbench.settings import Override, put

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
    """Yield one line per trial that is not what its run recorded: settings, and the lowest error of its epochs."""
    for trial in tuned.trials:
        if not trial.run:
            continue
        run, key = RunFolder(folder / "runs" / trial.run), f"val_{tuned.metric}"
        where = f"{trial.method}, trial {trial.number}"
        try:
            yield from (f"{where}: {line}" for line in _other_settings(trial, tuned.trial_seed, run))
            errors = [float(record[key]) for record in run.history() if key in record]
        except (OSError, UserError, TypeError, ValueError) as error:
            yield f"{where}: its run cannot be read ({error})"
            continue
        lowest = min(errors, default=None)
        if lowest != trial.value:
            yield f"{where}: {trial.value!r}, the epochs of its run give {lowest!r}"


def _other_settings(trial: Trial, seed: int, run: RunFolder) -> Iterator[str]:
    spec = run.spec()
    if (spec.folder, spec.method, spec.seed) != (trial.run, trial.method, seed):
        yield f"spec.yaml is that of {spec.folder} ({spec.method}, seed {spec.seed})"
    for key, text in trial.settings.items():
        found = _setting_of(spec, key)
        if not _is_same(Override(key, text).value, found) and not _leaves_as_it_is(spec, key, text):
            yield f"{key} = {text}, the spec of its run has {found!r}"


def _setting_of(spec: RunSpec, key: str) -> Any:
    """The value of a dotted key; None where a spec leaves it out, as it does with defaults."""
    found: Any = spec.model_dump(mode="json")
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _leaves_as_it_is(spec: RunSpec, key: str, text: str) -> bool:
    """Return whether a setting changes nothing: texts for numbers and defaults are read as the spec's own are."""
    values = spec.model_dump(mode="json")
    with suppress(UserError):
        put(values, key.split("."), Override(key, text).value)
        return RunSpec.parse(values, key) == spec
    return False


def _is_same(stated: Any, recorded: Any) -> bool:
    """Return whether a value is the recorded one; a method's own reading of texts for numbers is not known here."""
    if isinstance(stated, dict) and isinstance(recorded, dict):
        return all(key in recorded and _is_same(value, recorded[key]) for key, value in stated.items())
    if isinstance(stated, list) and isinstance(recorded, list):
        return len(stated) == len(recorded) and all(map(_is_same, stated, recorded))
    if isinstance(stated, str) and isinstance(recorded, bool):
        return True
    if isinstance(stated, str) and isinstance(recorded, int | float):
        with suppress(ValueError):
            return float(stated) == recorded
    return bool(stated == recorded)
