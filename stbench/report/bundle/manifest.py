"""``bundle.json``: the files of a bundle with their sizes and hashes.

A bundle may come from anyone. Paths that lead outside, links, devices and excessive sizes are refused before any file
is read.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt

from stbench.errors import UserError, counted
from stbench.fetch.archives import inside
from stbench.files import file_hash
from stbench.schema.base import Record
from stbench.schema.folder import read_at_most, write_text

NAME = "bundle.json"
MOST_FILES = 100_000
LARGEST_MANIFEST = 32 << 20
LARGEST_FILE = 256 << 20
LARGEST_BUNDLE = 4 << 30
"""Bytes of a bundle's files together; its runs hold no training state."""


class BundledFile(Record):
    """Size in bytes and SHA-256 of a file."""

    bytes: NonNegativeInt
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Record):
    """Contents of a bundle: every file but ``bundle.json`` by its path, and the version of stbench that wrote it."""

    version: Literal[1] = 1
    stbench: str
    files: dict[str, BundledFile]


def write_manifest(folder: Path, version: str) -> Manifest:
    """List the files of a folder in its ``bundle.json``.

    Raises:
        UserError: the folder holds a link, or is too large for a bundle.
    """
    files = {name: path for name, path in files_in(folder).items() if name != NAME}
    listed = {name: BundledFile(bytes=path.stat().st_size, sha256=file_hash(path)) for name, path in files.items()}
    _check_sizes(folder, listed)
    manifest = Manifest(stbench=version, files=listed)
    write_text(folder / NAME, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read ``bundle.json``.

    Raises:
        UserError: it is missing or invalid, names a path outside the folder, or lists more than a bundle may hold.
    """
    path = folder / NAME
    if path.is_symlink() or not path.is_file():
        raise UserError(
            f"{folder} is not a bundle: it has no {NAME}. 'stbench report RUNS --bundle --out DIR' makes one."
        )
    try:
        values = json.loads(read_at_most(path, LARGEST_MANIFEST))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}. Get the bundle again.") from error
    manifest = Manifest.parse(values, str(path))
    for name in manifest.files:
        if inside(name) != name or name == NAME:
            raise UserError(f"{path} lists {name!r}, which is no plain path inside the bundle. Do not use this bundle.")
    _check_sizes(folder, manifest.files)
    return manifest


def files_in(folder: Path) -> dict[str, Path]:
    """Return all files below a folder by their path in it, sorted.

    Raises:
        UserError: it holds a link or a device, or more than a bundle may hold.
    """
    found: dict[str, Path] = {}
    total = 0
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                found[path.relative_to(folder).as_posix()] = path
                total += state.st_size
            elif not stat.S_ISDIR(state.st_mode):
                raise UserError(f"{path} is a link or a device; a bundle holds files only. Remove it.")
            if state.st_size > LARGEST_FILE:
                raise UserError(f"{path} has {state.st_size} bytes; a file of a bundle has at most {LARGEST_FILE}.")
        if len(found) > MOST_FILES or total > LARGEST_BUNDLE:
            raise UserError(f"{folder} holds more than a bundle may: {MOST_FILES} files, {LARGEST_BUNDLE} bytes.")
    return dict(sorted(found.items()))


def changed_files(folder: Path, manifest: Manifest) -> list[str]:
    """Compare a folder with its manifest; return one line per file that is missing, changed or not listed.

    Raises:
        UserError: the folder holds a link or a device, or more than a bundle may hold.
    """
    present = files_in(folder)
    lines = [f"{name}: not listed in {NAME}" for name in present if name not in manifest.files and name != NAME]
    for name, listed in manifest.files.items():
        if name not in present:
            lines.append(f"{name}: missing")
        elif (size := present[name].stat().st_size) != listed.bytes:
            lines.append(f"{name}: {counted(size, 'byte')}, listed with {listed.bytes}")
        elif (digest := file_hash(present[name])) != listed.sha256:
            lines.append(f"{name}: SHA-256 {digest[:12]}…, listed with {listed.sha256[:12]}…")
    return lines


def _check_sizes(folder: Path, files: dict[str, BundledFile]) -> None:
    total = sum(file.bytes for file in files.values())
    large = next((name for name, file in files.items() if file.bytes > LARGEST_FILE), None)
    if large is not None:
        raise UserError(
            f"{folder}: {large!r} has {files[large].bytes} bytes; a bundle's files have at most {LARGEST_FILE}."
        )
    if len(files) > MOST_FILES or total > LARGEST_BUNDLE:
        raise UserError(
            f"{folder}: {len(files)} files of {total} bytes; a bundle holds at most {MOST_FILES} of {LARGEST_BUNDLE}. "
            "Bundle fewer runs."
        )
