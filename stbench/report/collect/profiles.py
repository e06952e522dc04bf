"""Profiles (``stbench profile``), whose speeds a report shows beside scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.efficiency.records import Profile

FOLDER = "profile"


def beside(roots: Iterable[Path], name: str) -> list[Path]:
    """Return the folders of this name that may lie in or beside folders with runs, each once."""
    return list(dict.fromkeys((folder / name).resolve() for root in roots for folder in (root, root.parent)))


def find_profiles(roots: Sequence[Path], given: Sequence[Path] = ()) -> tuple[dict[Path, Profile], dict[Path, str]]:
    """Return the given profiles and those in folders ``profile`` in or beside the roots, and left-out files.

    Args:
        roots: folders with runs.
        given: JSON records of ``stbench profile``, or folders with such records.

    Raises:
        UserError: a given profile is missing or cannot be read.
    """
    found: dict[Path, Profile] = {}
    left_out: dict[Path, str] = {}
    for path in given:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"--profile {path}: no JSON file in it. 'stbench profile' writes one.")
        found |= {file.resolve(): _read(file) for file in files}
    for file in (file.resolve() for folder in beside(roots, FOLDER) for file in sorted(folder.glob("*.json"))):
        if file not in found:
            try:
                found[file] = _read(file)
            except UserError as error:
                left_out[file] = str(error)
    return found, left_out


def _read(file: Path) -> Profile:
    from stbench.efficiency.records import Profile

    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as a profile: {error}. 'stbench profile' writes one.") from error
    return Profile.parse(values, str(file))
