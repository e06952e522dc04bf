"""Which row is best in each column, and which ones cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stbench.metrics import get_metric
from stbench.report.analysis.statistics import (
    CONFIDENCE,
    MIN_STRETCHES,
    Comparison,
    Resampled,
    Starts,
    compare,
    draws,
    holm,
    resample,
    units,
)
from stbench.report.collect.records import RunRecord


@dataclass(frozen=True)
class Obstacle:
    """Why a row is not compared with the best one."""

    kind: Literal["one_seed", "no_values", "other_sequences", "too_few"]
    text: str


@dataclass(frozen=True)
class Standing:
    """A row's place in a column.

    ``rank`` counts from 1. ``difference`` is this row minus the best one, ``p`` its Holm-adjusted p-value over the
    column; both are None where nothing can be claimed, and ``obstacle`` says why.
    """

    rank: int
    difference: Comparison | None = None
    p: float | None = None
    obstacle: Obstacle | None = None

    @property
    def reason(self) -> str:
        """Why the row is not compared; empty where it is."""
        return "" if self.obstacle is None else self.obstacle.text

    @property
    def tied(self) -> bool:
        """Whether the row was compared and cannot be told from the best one."""
        return self.p is not None and self.p > 1 - CONFIDENCE


@dataclass(frozen=True)
class Entry:
    """The finished runs of one row; ``trained`` rows vary with the seed."""

    records: Sequence[RunRecord]
    trained: bool


def standings(entries: Sequence[Entry], means: Sequence[float | None], metric: str) -> list[Standing | None]:
    """Rank the rows of one column by their means and compare each with the best; None where a row has no number."""
    sign = 1 if get_metric(metric).lower_is_better else -1
    ranked = sorted(
        (i for i, mean in enumerate(means) if mean is not None and not np.isnan(mean)),
        key=lambda i: sign * (means[i] or 0.0),
    )
    found: list[Standing | None] = [None] * len(entries)
    if not ranked:
        return found
    compared = _against_best(entries, ranked, metric)
    outcomes = {i: found for i, found in compared.items() if isinstance(found, Comparison)}
    adjusted = dict(zip(outcomes, holm([found.p for found in outcomes.values()]), strict=True))
    for rank, index in enumerate(ranked, start=1):
        outcome = compared.get(index)
        if isinstance(outcome, Comparison):
            found[index] = Standing(rank, outcome, adjusted[index])
        else:
            found[index] = Standing(rank, obstacle=outcome)
    return found


def _against_best(entries: Sequence[Entry], ranked: Sequence[int], metric: str) -> dict[int, Comparison | Obstacle]:
    """A comparison, or the reason why there is none, for every row behind the best."""
    best, *others = ranked
    obstacles = {i: _obstacle(entries[i], entries[best], metric) for i in others}
    found: dict[int, Comparison | Obstacle] = {i: why for i, why in obstacles.items() if why is not None}
    able = [i for i in others if i not in found]
    if not able:
        return found
    scores = _resampled([best, *able], entries, metric)
    for index in able:
        found[index] = compare(scores[index], scores[best], np.random.default_rng(index))
    return found


def _obstacle(row: Entry, best: Entry, metric: str) -> Obstacle | None:
    for entry in (best, row):
        if entry.trained and len(entry.records) < 2:
            return Obstacle("one_seed", "n = 1: no significance is claimed")
        if any(_values(record, metric) is None for record in entry.records):
            return Obstacle("no_values", "no finite per-sequence values")
    same = {(record.sequence_key, record.result.data_fingerprint) for record in (*best.records, *row.records)}
    if len(same) > 1:
        return Obstacle("other_sequences", "scored on other test sequences")
    stretches = len(_units((best, row)))
    if stretches >= MIN_STRETCHES or _overlap((best, row)) == 1:
        return None
    return Obstacle("too_few", f"{stretches} independent stretches of test are too few to compare")


def _overlap(entries: Sequence[Entry]) -> int:
    return max(record.result.test_overlap for entry in entries for record in entry.records)


def _units(entries: Sequence[Entry]) -> Starts:
    return units(entries[0].records[0].sequence_count, _overlap(entries))


def _resampled(indices: Sequence[int], entries: Sequence[Entry], metric: str) -> dict[int, Resampled]:
    """Scores of the rows under the same drawn units."""
    root = get_metric(metric).reduction == "rms"
    values = {i: np.stack([v for r in entries[i].records if (v := _values(r, metric)) is not None]) for i in indices}
    starts = _units([entries[i] for i in indices])
    drawn = draws(len(starts))
    return {i: resample(value, drawn, starts, root=root) for i, value in values.items()}


def _values(record: RunRecord, metric: str) -> NDArray[np.float64] | None:
    """Per-sequence means (N,) whose mean (or its root) is the run's score; None unless all are finite."""
    frames = record.frame_values(metric)
    if frames is None or not np.isfinite(frames).all():
        return None
    return np.asarray((frames**2 if get_metric(metric).reduction == "rms" else frames).mean(axis=1))
