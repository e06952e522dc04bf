"""A text file that lists which frames of each recording are in use, as the KTH actions have it.

A line is a recording's name, white space, the word "frames" and ranges: ``person01_boxing_d1  frames  1-95, 96-185``.
Frames are counted from 1, last ones included. Ranges that touch are one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from stbench.data.splits.windows import Placed, Span
from stbench.errors import UserError

LINE = re.compile(r"^\s*(\S+)\s+frames\s+([\d\s,\-]+)$")
Ranges = dict[str, list[tuple[int, int]]]


def read_ranges(folder: Path, name: str) -> Ranges:
    """Read half-open ranges of frames, counted from 0, of each recording.

    Raises:
        UserError: the file is missing or holds no such line.
    """
    found = next(iter(sorted(folder.rglob(name))), None)
    if found is None:
        raise UserError(f"{folder} lacks {name}, which lists the frames in use. Fetch it with the recordings.")
    table: Ranges = {}
    for line in found.read_text(encoding="utf-8", errors="replace").splitlines():
        match = LINE.match(line)
        if match is not None:
            parts = [part.split("-") for part in "".join(match[2].split()).split(",") if part]
            if any(len(part) != 2 or not all(part) for part in parts):
                raise UserError(f"{found}: cannot read the ranges of {match[1]!r}: {match[2].strip()!r}.")
            table[match[1]] = _merged([(int(first) - 1, int(last)) for first, last in parts])
    if not table:
        raise UserError(f"{found} holds no line of the form 'name  frames  1-95, 96-185'.")
    return table


def frames_in_use(recordings: Sequence[Placed], table: Ranges) -> dict[int, list[Span]]:
    """Return the spans in use of each recording, by its first frame; none for a recording the table does not know.

    Raises:
        UserError: the table names recordings that are not there.
    """
    found = {}
    stems = {PurePosixPath(recording.name).name for recording in recordings}
    missing = [name for name in table if not any(stem == name or stem.startswith(f"{name}_") for stem in stems)]
    if missing:
        listing = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise UserError(
            f"{len(missing)} of the {len(table)} recordings that the list of frames names are missing: {listing}. "
            "Fetch or unpack them again."
        )
    for recording in recordings:
        stem = PurePosixPath(recording.name).name
        known = next((ranges for name, ranges in table.items() if stem == name or stem.startswith(f"{name}_")), [])
        found[recording.first] = [Span(recording.first + start, recording.first + stop) for start, stop in known]
    return found


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
