"""Several variables of the same times seen as the channels of one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from stbench.data.formats.recording import Blocks, Recording
from stbench.errors import UserError


def join_channels(variables: Sequence[Sequence[Recording]]) -> list[Recording]:
    """Put the n-th recordings of every variable on top of each other.

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
        same_times = (first.minutes is None) == (other.minutes is None) and (
            first.minutes is None or np.array_equal(first.minutes, other.minutes)  # type: ignore[arg-type]
        )
        if other.length != first.length or other.frame != first.frame or not same_times:
            raise UserError(f"{first.paths[0]} and {other.paths[0]} do not hold the same times and grid.")
    height, width, _ = first.frame
    return replace(
        first,
        paths=tuple(path for part in parts for path in part.paths),
        frame=(height, width, sum(part.frame[2] for part in parts)),
        blocks=partial(_blocks, parts),
        note="; ".join(part.note for part in parts),
        variant="; ".join(part.variant for part in parts),
    )


def _blocks(parts: tuple[Recording, ...]) -> Blocks:
    for blocks in zip(*(part.blocks() for part in parts), strict=True):
        yield np.concatenate(blocks, axis=-1)
