"""Record of first downloads, stored beside the files; later copies must be identical.

``downloads.lock.json`` maps each file's name to its SHA-256, its size, where it came from and when.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from stbench.errors import UserError
from stbench.files import file_hash
from stbench.schema import Record
from stbench.schema.folder import write_text

LEDGER = "downloads.lock.json"


class Entry(Record):
    """A file at its first download; ``origin`` is a URL or ``a folder``."""

    sha256: str
    size: int
    origin: str
    first: str


def read_ledger(folder: Path) -> dict[str, Entry]:
    """Return the entries by name; empty without a record.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / LEDGER
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Entry.parse(values, f"{path}: {name}") for name, values in dict(held).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it to record the files that are there anew.") from error


def record(folder: Path, name: str, path: Path, origin: str) -> Entry:
    """Record a downloaded file, or compare it with the first download.

    Raises:
        UserError: it differs from the first download.
    """
    entries = read_ledger(folder)
    seen = Entry(
        sha256=file_hash(path),
        size=path.stat().st_size,
        origin=origin,
        first=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if name in entries:
        check_entry(entries[name], seen.sha256, path, folder)
        return entries[name]
    lines = {key: entry.model_dump() for key, entry in sorted({**entries, name: seen}.items())}
    write_text(folder / LEDGER, json.dumps(lines, indent=1) + "\n")
    return seen


def check_entry(entry: Entry, sha256: str, path: Path, folder: Path) -> None:
    """Compare a file with its first download.

    Raises:
        UserError: they differ.
    """
    if entry.sha256 != sha256:
        raise UserError(
            f"{path} is damaged or another file: its sha256 is {sha256}, at the first download ({entry.first}, "
            f"{entry.origin}) it was {entry.sha256}. Remove it and fetch it again; if the source has a new version "
            f"that you accept, remove its entry from {folder / LEDGER}."
        )
