"""Removal of what a finished sweep no longer needs, and of runs. Links are never followed, runs in use stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stbench.data.frame_cache.cache import cache_dir
from stbench.errors import UserError, cannot
from stbench.schema.folder import RunFolder
from stbench.sweep.inventory import folders_in, is_held, runs_folder, size_of
from stbench.train.checkpoint import LAST

Kind = Literal["resume", "old", "cache"]
KINDS: dict[Kind, str] = {
    "resume": "resume points of finished runs",
    "old": "hidden folders of repeated or removed runs",
    "cache": "frame caches that no process uses (decoded again when needed)",
}
_OLD = re.compile(r"\..+-s\d+-[0-9a-f]{12}\.[0-9a-f]{8}")
_MAPS = "/proc/[0-9]*/maps"


@dataclass(frozen=True)
class Waste:
    """A file or folder that can go, and its bytes."""

    kind: Kind
    path: Path
    size: int


def find_waste(out: Path, kinds: Sequence[Kind]) -> list[Waste]:
    """Return what can be removed below an output folder and in the frame cache; changes nothing.

    Raises:
        UserError: OUT is no folder.
    """
    root = runs_folder(out)
    found: list[Waste] = []
    for path in sorted(folders_in(root)):
        if _OLD.fullmatch(path.name):
            paths: list[tuple[Kind, Path]] = [("old", path)]
        else:
            folder = RunFolder(path)
            paths = [] if is_held(folder) else [("resume", file) for file in _resume_points(folder)]
        found += [Waste(kind, one, size_of(one)) for kind, one in paths if kind in kinds]
    if "cache" in kinds and cache_dir().is_dir():
        found += [
            Waste("cache", path, size_of(path)) for path in sorted(folders_in(cache_dir())) if not _is_mapped(path)
        ]
    return found


def remove_waste(waste: Sequence[Waste]) -> list[Waste]:
    """Remove what :func:`find_waste` found, and return it without what is in use by now.

    Raises:
        UserError, MachineError: something cannot be removed.
    """
    removed = []
    for one in waste:
        try:
            if _remove(one):
                removed.append(one)
        except OSError as error:
            raise cannot(f"Cannot remove {one.path}", error, "Check its permissions.") from error
    return removed


def remove_run(path: Path) -> bool:
    """Remove a run folder at once: it is renamed, then emptied. False if another process works in it.

    Raises:
        UserError: it is a link or no run folder.
        UserError, MachineError: it cannot be removed.
    """
    if path.is_symlink() or not (path / "spec.yaml").is_file():
        raise UserError(f"{path} is no run folder (or a link to one), and stays. Name a folder below OUT/runs/.")
    try:
        folder = RunFolder(path)
        with folder.locked() as mine:
            if not mine:
                return False
            away = folder.hide()
        shutil.rmtree(away)
    except OSError as error:
        raise cannot(f"Cannot remove {path}", error, "Check its permissions.") from error
    return True


def _remove(one: Waste) -> bool:
    if one.kind == "resume":
        folder = RunFolder(one.path.parent.parent)
        with folder.locked() as mine:
            if mine and one.path in list(_resume_points(folder)):
                one.path.unlink()
                return True
        return False
    if one.path.is_symlink() or (one.kind == "cache" and _is_mapped(one.path)):
        return False
    shutil.rmtree(one.path)
    return True


def _resume_points(folder: RunFolder) -> Iterator[Path]:
    """Yield the resume points of a finished run."""
    inside = folder.checkpoints
    if inside.is_symlink() or not folder.is_complete or not inside.is_dir():
        return
    try:
        if folder.result().status != "finished":  # --retry-failed goes on from it
            return
    except UserError:
        return
    yield from (path for path in sorted(inside.glob(f"{LAST}*")) if path.is_file() and not path.is_symlink())


def _is_mapped(folder: Path) -> bool:
    """Return whether a process has files of a folder mapped or is filling it; True where that cannot be told."""
    if folder.suffix == ".partial" or not Path("/proc/self/maps").exists():
        return True
    place = f"{folder.resolve()}/"
    for maps in Path("/").glob(_MAPS[1:]):
        try:
            if place in maps.read_text(errors="replace"):
                return True
        except OSError:  # it has ended, or is another user's
            continue
    return False
