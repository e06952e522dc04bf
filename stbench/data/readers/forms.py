"""Data that come in several forms (films, or pictures taken from them): which one is here, and what goes with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stbench.data.benchmarks.folders import candidate_folders
from stbench.data.benchmarks.lookup import benchmark_forms
from stbench.data.formats import Recording
from stbench.data.formats.listing import holds_all
from stbench.data.splits.windows import Placed, Span
from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.data.dataset import DatasetContext
    from stbench.data.readers.recordings import RecordedOptions


def in_the_form_here(options: RecordedOptions, context: DatasetContext) -> RecordedOptions:
    """Return the options for the form whose files are here; as they are where none is, or where data are the user's.

    A benchmark's ``forms.yaml`` lists the options in which further forms differ, the preferred one first. They decide
    no setting: what was read is in a result's data fingerprint.

    Raises:
        UserError: a form sets an option that does not exist.
    """
    if options.path is not None:
        return options
    values = options.model_dump(exclude_unset=True)
    for form in benchmark_forms(context.name):
        for folder in candidate_folders(context.name, context.data_dirs, options.folders):
            if folder.is_dir() and holds_all(folder, form["files"]):
                return type(options).parse({**values, **form}, f"{context.name}: forms.yaml")
    return options


def numbered_spans(recordings: Sequence[Recording], placed: Sequence[Placed], pattern: str) -> dict[int, list[Span]]:
    """Return the spans of pictures whose numbers follow each other, by the first frame of their recording.

    Args:
        recordings: picture folders.
        placed: the same recordings in the frame cache, nothing left out.
        pattern: its first group is the number in a picture's name.

    Raises:
        UserError: a picture's name has no number.
    """
    first_of = {place.name: place.first for place in placed}
    found = {}
    for recording in recordings:
        numbers = np.array([_number(path, pattern) for path in recording.paths])
        edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        first = first_of[recording.name]
        found[first] = [Span(first + a, first + b) for a, b in pairwise(edges)]
    return found


def _number(path: Path, pattern: str) -> int:
    match = re.search(pattern, path.name)
    if match is None:
        raise UserError(f"{path} has no frame number where {pattern!r} expects it. Was it renamed?")
    return int(match[1])
