"""Which row is best in each column, and which ones cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stbench.metrics import get_metric
from stbench.report.records import RunRecord
from stbench.report.statistics import (
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

OTHER_SEQUENCES = "scored on other test sequences"
TOO_FEW = "independent stretches of test are too few to compare"


@dataclass(frozen=True)
class Standing:
    """A row's place in a column.

    ``rank`` counts from 1. ``difference`` is this row minus the best one, ``p`` its Holm-adjusted p-value over the
    column; both are None where nothing can be claimed, and ``reason`` says why.
    """

    rank: int
    difference: Comparison | None = None
    p: float | None = None
    reason: str = ""

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
    outcomes = [i for i in ranked[1:] if isinstance(compared[i], Comparison)]
    adjusted = dict(zip(outcomes, holm([compared[i].p for i in outcomes]), strict=True))
    for rank, index in enumerate(ranked, start=1):
        outcome = compared.get(index)
        if isinstance(outcome, Comparison):
            found[index] = Standing(rank, outcome, adjusted[index])
        else:
            found[index] = Standing(rank, reason=outcome or "")
    return found


def _against_best(entries: Sequence[Entry], ranked: Sequence[int], metric: str) -> dict[int, Any]:
    """A comparison, or the reason why there is none, for every row behind the best."""
    best, *others = ranked
    reasons = {i: _obstacle(entries[i], entries[best], metric) for i in others}
    able = [i for i in others if not reasons[i]]
    if not able:
        return dict(reasons)
    scores = _resampled([best, *able], entries, metric)
    found: dict[int, Any] = dict(reasons)
    for index in able:
        found[index] = compare(scores[index], scores[best], np.random.default_rng(index))
    return found


def _obstacle(row: Entry, best: Entry, metric: str) -> str:
    for entry in (best, row):
        if entry.trained and len(entry.records) < 2:
            return "n = 1: no significance is claimed"
        if any(_values(record, metric) is None for record in entry.records):
            return "no finite per-sequence values"
    same = {(record.sequences, record.result.data_fingerprint) for record in (*best.records, *row.records)}
    if len(same) > 1:
        return OTHER_SEQUENCES
    stretches = len(_units((best, row)))
    return f"{stretches} {TOO_FEW}" if stretches < MIN_STRETCHES and _overlap((best, row)) > 1 else ""


def _overlap(entries: Sequence[Entry]) -> int:
    return max(record.result.test_overlap for entry in entries for record in entry.records)


def _units(entries: Sequence[Entry]) -> Starts:
    return units(len(entries[0].records[0].sequences), _overlap(entries))


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
