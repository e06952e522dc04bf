"""Places in time of the frames of overlapping windows, where windows carry no times.

Neighbouring windows of a file are shifted copies of each other, and their shift tells which frames are the same.
Content alone does not: all hours without a taxi are equal. A *run* is a sequence of windows that overlap their
neighbours. Axes: N windows, T frames of a window, P places, R runs, K distinct contents.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stbench.data.splits.windows import Windows

Contents = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MOST_CANDIDATES = 32  # places of one content that a further place is compared with; periodic data have thousands


def places_of(contents_NT: Contents, constant_K: Flags) -> Windows:
    """Return the number of the place of each frame (N, T), from 0 in the order of the windows.

    Frames of one run have one number if the shifts of the windows say so. Runs are matched by content: two runs
    overlap if they agree in every frame of the overlap, at least one of which tells the time. A constant frame, or one
    that equals its neighbour, does not.

    Args:
        contents_NT: number of the content of each frame.
        constant_K: whether a content is one value throughout.
    """
    telling_K = ~constant_K
    telling_K[contents_NT[:, 1:][contents_NT[:, 1:] == contents_NT[:, :-1]]] = False
    place_NT, run_P = _follow(contents_NT, telling_K)
    contents_P = np.empty(len(run_P), dtype=np.int64)
    contents_P[place_NT] = contents_NT
    pairs = _overlaps(contents_P, run_P, telling_K)
    pairs = pairs.astype(np.int32)  # scipy 1.11.1 finds no components under 64-bit ones, and says nothing
    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(run_P), len(run_P)))
    label_P: npt.NDArray[Any] = connected_components(links, directed=False)[1]
    _, first, label_P = np.unique(label_P, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    numbers: Windows = order[label_P][place_NT]
    return numbers


def _follow(contents_NT: Contents, telling_K: Flags) -> tuple[Windows, Contents]:
    """Place each window by its shift from the one before; return the places (N, T) and the run of each place (P,)."""
    count, length = contents_NT.shape
    usual, steps = _steps(contents_NT, telling_K)
    place_NT = np.empty((count, length), dtype=np.int64)
    runs: list[int] = []
    bounds = np.flatnonzero(np.concatenate([[True], steps == length, [True]]))  # a shift of ``length`` shares no frame
    for run, (first, stop) in enumerate(pairwise(bounds.tolist())):
        starts = np.concatenate([[0], np.cumsum(steps[first : stop - 1])]) * (1 if usual > 0 else -1)
        starts -= starts.min()
        place_NT[first:stop] = len(runs) + starts[:, None] + np.arange(length)
        runs += [run] * (int(starts.max()) + length)
    return place_NT, np.array(runs, dtype=np.int64)


def _steps(contents_NT: Contents, telling_K: Flags) -> tuple[int, Contents]:
    """Return the usual shift of neighbouring windows and the size of each shift (N−1,); T where none fits.

    A shift needs a frame that tells the time. The usual one does not if most windows follow each other by it.
    """
    length = contents_NT.shape[1]
    shifts = [sign * size for size in range(1, length) for sign in (1, -1)]
    fits = {shift: _fits(contents_NT, telling_K, shift) for shift in (0, *shifts)}
    support = {shift: int((fits[shift][0] & fits[shift][1]).sum()) for shift in shifts}
    usual = max(shifts, key=lambda shift: support[shift])
    dated: Flags = np.any(telling_K[contents_NT], axis=1)
    in_order = 2 * support[usual] > int((dated[1:] & dated[:-1]).sum())
    steps = np.full(len(contents_NT) - 1, length, dtype=np.int64)
    for size in reversed(range(length)):  # the smallest that fits
        equal, telling = fits[size if usual > 0 else -size]
        steps[equal & telling] = size
    equal, telling = fits[usual]
    steps[equal & (telling | in_order)] = abs(usual)
    return usual, steps


def _fits(contents_NT: Contents, telling_K: Flags, shift: int) -> tuple[Flags, Flags]:
    """Return whether each window is the one before it, shifted, and whether a frame of the overlap tells the time."""
    length = contents_NT.shape[1]
    earlier, later = contents_NT[:-1], contents_NT[1:]
    if shift < 0:
        earlier, later = later, earlier
    kept = later[:, : length - abs(shift)]
    return np.all(earlier[:, abs(shift) :] == kept, axis=1), np.any(telling_K[kept], axis=1)


def _overlaps(contents_P: Contents, run_P: Contents, telling_K: Flags) -> npt.NDArray[np.int64]:
    """Return the pairs of places (…, 2) in different runs that are one place."""
    held = np.unique(np.stack([contents_P, run_P]), axis=1)[0]
    shared_K = (np.bincount(held, minlength=len(telling_K)) > 1) & telling_K
    candidates = np.flatnonzero(shared_K[contents_P])
    candidates = candidates[np.argsort(contents_P[candidates], kind="stable")]
    groups = np.split(candidates, np.flatnonzero(np.diff(contents_P[candidates])) + 1)
    first_R = np.searchsorted(run_P, np.arange(run_P[-1] + 2)).tolist()
    contents, runs = contents_P.tolist(), run_P.tolist()
    seen: set[tuple[int, int, int]] = set()
    found = [pair for group in groups for pair in _paired(group.tolist(), contents, runs, first_R, seen)]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _paired(
    group: list[int], contents: list[int], runs: list[int], first_R: list[int], seen: set[tuple[int, int, int]]
) -> list[tuple[int, int]]:
    """Compare the places of one content; return the overlaps that agree throughout, as pairs of places."""
    found: list[tuple[int, int]] = []
    distinct: list[int] = []
    for place in group:
        matched = False
        for other in distinct:
            run, other_run = runs[place], runs[other]
            if run == other_run:
                continue
            before = min(place - first_R[run], other - first_R[other_run])
            after = min(first_R[run + 1] - place, first_R[other_run + 1] - other)
            here, there = slice(place - before, place + after), slice(other - before, other + after)
            if contents[here] != contents[there]:
                continue
            matched = True
            if (run, other_run, place - other) not in seen:
                seen.add((run, other_run, place - other))
                found += zip(range(here.start, here.stop), range(there.start, there.stop), strict=True)
        if not matched and len(distinct) < MOST_CANDIDATES:
            distinct.append(place)
    return found
