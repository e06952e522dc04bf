"""Several variables at the same times as the channels of one recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from stbench.data.formats.fields import Choice
from stbench.data.formats.open import open_recordings
from stbench.data.formats.recording import Blocks, Recording
from stbench.data.formats.series import join_within
from stbench.errors import UserError


def open_channels(
    paths_of: Mapping[str, Sequence[Path]], root: Path, choice: Choice, series: bool, apart: bool
) -> list[Recording]:
    """Open variables as channels.

    Args:
        paths_of: the files that hold each variable, in the order of the channels.
        root: the folder that names are relative to.
        choice: the user's choice of layout and level.
        series: True joins dated files that follow each other.
        apart: True joins them only within the folders at the top.
    """
    per_variable = []
    for variable, paths in paths_of.items():
        found = open_recordings(paths, root, variable=variable, choice=choice)
        per_variable.append(join_within(found, apart) if series else found)
    return join_channels(per_variable)


def join_channels(variables: Sequence[Sequence[Recording]]) -> list[Recording]:
    """Stack the n-th recordings of all variables as channels.

    Raises:
        UserError: the variables differ in number of files, length, frame size or times.
    """
    if len(variables) == 1:
        return list(variables[0])
    for first, other in pairwise(variables):
        if len(first) != len(other):
            raise UserError(f"The variables come in {len(first)} and {len(other)} files; each needs the same years.")
    return [_joined(parts) for parts in zip(*variables, strict=True)]


def _joined(parts: tuple[Recording, ...]) -> Recording:
    first = parts[0]
    for other in parts[1:]:
        same_times = (first.seconds is None) == (other.seconds is None) and (
            first.seconds is None or np.array_equal(first.seconds, other.seconds)  # type: ignore[arg-type]
        )
        if other.length != first.length or other.frame != first.frame or not same_times:
            raise UserError(f"{first.paths[0]} and {other.paths[0]} do not hold the same times and grid.")
    height, width, _ = first.frame
    return replace(
        first,
        paths=tuple(path for part in parts for path in part.paths),
        frame=(height, width, sum(part.frame[2] for part in parts)),
        blocks=partial(_blocks, parts),
        facts={name: _joined_fact([part.facts.get(name, "") for part in parts]) for name in first.facts},
        variant="; ".join(part.variant for part in parts),
    )


def _joined_fact(texts: Sequence[str]) -> str:
    """Return a fact once if all channels share it, else the facts of each."""
    return texts[0] if len(set(texts)) == 1 else "; ".join(texts)


def _blocks(parts: tuple[Recording, ...]) -> Blocks:
    for blocks in zip(*(part.blocks() for part in parts), strict=True):
        yield np.concatenate(blocks, axis=-1)
