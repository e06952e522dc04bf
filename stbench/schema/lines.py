"""Files of JSON lines that grow while others read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CURVE = "curve.jsonl"
"""Points of a run's training curve; the first line identifies the training (:mod:`stbench.train.curve`)."""


def read_lines(text: str) -> list[dict[str, Any]]:
    """Return the records of JSON lines; a line that a kill cut off is left out."""
    found = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


class GrowingLines:
    """Read what was appended to a file since the last look; a file that was replaced is read from its beginning."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode = self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the records of new whole lines; none if the file is missing."""
        try:
            with self._file.open("rb") as stream:
                state = self._file.stat()
                if state.st_ino != self._inode or state.st_size < self._offset:
                    self._inode, self._offset = state.st_ino, 0
                stream.seek(self._offset)
                whole, _, _ = stream.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._offset += len(whole) + bool(whole)
        return read_lines(whole.decode("utf-8", errors="replace"))
