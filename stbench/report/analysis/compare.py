"""The best row of each column, and the rows that cannot be distinguished from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stbench.metrics import get_metric
from stbench.metrics.sequences import block_statistics, by_sequence
from stbench.report.analysis.family import Comparison, Family
from stbench.report.analysis.resampling import Finish, RowValues, mean_of_one
from stbench.report.analysis.stretches import Scored, Stretches, choose_stretches
from stbench.report.collect.records import RunRecord, several_readers

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Obstacle:
    """Reason why a row is not compared with the best one."""

    kind: Literal["one_seed", "no_values", "other_sequences", "too_few"]
    text: str


ONE_SEED = Obstacle("one_seed", "not tested: n = 1, so the variance between seeds is unknown")
BEST_ONE_SEED = Obstacle("one_seed", "not tested: the best row has n = 1, so the variance between seeds is unknown")
NO_VALUES = Obstacle("no_values", "not tested: no finite values per sequence")
OTHER_SEQUENCES = Obstacle("other_sequences", "not tested: scored on other test sequences than the best row")


@dataclass(frozen=True)
class Standing:
    """A row's place in a column.

    ``rank``: counts from 1. ``difference``: this row minus the best, adjusted for all pairs of rows; None for the best
    row, and if it cannot be compared. ``obstacle``: the reason in the latter case.
    """

    rank: int
    difference: Comparison | None = None
    obstacle: Obstacle | None = None

    @property
    def reason(self) -> str:
        """Reason why the row is not compared; empty if it is."""
        return "" if self.obstacle is None else self.obstacle.text

    @property
    def p(self) -> float | None:
        """The adjusted p-value."""
        return None if self.difference is None else self.difference.p

    @property
    def tied(self) -> bool:
        """True if the row was compared and cannot be distinguished from the best."""
        return self.difference is not None and not self.difference.clear


@dataclass(frozen=True)
class Column:
    """Places of a table's rows in one metric (None for a row without a number), and the stretches drawn."""

    standings: tuple[Standing | None, ...]
    stretches: Stretches | None = None


class Entry:
    """The finished runs of one row; ``trained`` rows vary with the seed."""

    def __init__(self, records: Sequence[RunRecord], trained: bool) -> None:
        self.records, self.trained = records, trained

    @cached_property
    def sequences(self) -> str:
        """Key of the test sequences and data on which all its runs were scored; empty if they differ."""
        keys = {f"{record.sequence_key} {record.result.data_fingerprint}" for record in self.records}
        return keys.pop() if len(keys) == 1 else ""

    @property
    def alone(self) -> bool:
        """True if the row is trained and has a single seed."""
        return self.trained and len(self.records) < 2

    def values(self, metric: str) -> RowValues | None:
        """Return statistics by seed and block of sequences; None unless all are recorded and finite."""

        def read(record: RunRecord) -> Array | None:
            one_JBT = frame_statistics(record, metric)
            return None if one_JBT is None else by_sequence(one_JBT, metric)

        known = read_all(self.records, read)
        if known is None:
            return None
        return RowValues(known, total_of(metric, weighted=is_weighted(self.records)), self.trained)


def standings(entries: Sequence[Entry], means: Sequence[float | None], metric: str) -> Column:
    """Rank the rows of one column by their means and compare each with the best; a ratio to 1 is not ranked."""
    if get_metric(metric).best is not None:
        return Column((None,) * len(entries))
    sign = 1 if get_metric(metric).lower_is_better else -1
    ranked = sorted(
        (i for i, mean in enumerate(means) if mean is not None and not np.isnan(mean)),
        key=lambda i: sign * (means[i] or 0.0),
    )
    found: list[Standing | None] = [None] * len(entries)
    if not ranked:
        return Column(tuple(found))
    compared, stretches = _against_best(entries, ranked, metric)
    for rank, index in enumerate(ranked, start=1):
        outcome = compared.get(index)
        if isinstance(outcome, Comparison):
            found[index] = Standing(rank, difference=outcome)
        else:
            found[index] = Standing(rank, obstacle=outcome)
    return Column(tuple(found), stretches)


def _against_best(
    entries: Sequence[Entry], ranked: Sequence[int], metric: str
) -> tuple[dict[int, Comparison | Obstacle], Stretches | None]:
    """Return, for every row but the best, its comparison or the reason why there is none."""
    best = ranked[0]
    found: dict[int, Comparison | Obstacle] = {}
    values: dict[int, RowValues] = {}
    for i in ranked:
        obstacle = _obstacle(entries[i], entries[best])
        row = entries[i].values(metric) if obstacle is None else None
        if row is not None:
            values[i] = row
        else:
            found[i] = obstacle or NO_VALUES
    lacking = found.pop(best, None)
    if lacking is not None:
        blamed = BEST_ONE_SEED if lacking is ONE_SEED else lacking
        return {i: found.get(i, blamed) for i in ranked[1:]}, None
    if len(values) < 2:
        return found, None
    scored = scored_of([record for i in values for record in entries[i].records])
    stretches = shared_stretches(list(values.values()), scored)
    if not stretches.enough:
        seen = f"{stretches.count} independent {'stretch' if stretches.count == 1 else 'stretches'} of test sequences"
        obstacle = Obstacle("too_few", f"not tested: {seen} found, {stretches.needed} are needed")
        return {**found, **{i: obstacle for i in values if i != best}}, None
    places = {i: place for place, i in enumerate(values)}
    compared = Family(list(values.values()), stretches).against(places[best])
    found |= {i: compared[places[i]] for i in values if i != best}
    return found, stretches


def scored_of(records: Sequence[RunRecord]) -> Scored:
    """Return the test sequences of runs that were scored on the same ones."""
    return Scored(records[0].sequence_count, max(record.result.test_overlap for record in records))


def shared_stretches(rows: Sequence[RowValues], scored: Scored) -> Stretches:
    """Choose stretches for the differences between rows, or for the values of a single row."""
    influence_KN = np.stack([row.influence.mean(axis=0) for row in rows])
    return choose_stretches(influence_KN - influence_KN.mean(axis=0) if len(rows) > 1 else influence_KN, scored)


def _obstacle(row: Entry, best: Entry) -> Obstacle | None:
    if row.alone:
        return ONE_SEED
    if best.alone:
        return BEST_ONE_SEED
    return None if row.sequences and row.sequences == best.sequences else OTHER_SEQUENCES


def frame_statistics(record: RunRecord, metric: str) -> Array | None:
    """Return a run's statistics (J, B, T) of each block of sequences and lead time; None unless all are finite."""
    found = block_statistics(record.values, metric, incomplete=record.incomplete)
    return found if found is not None and np.isfinite([found.min(), found.max()]).all() else None


def read_all(records: Sequence[RunRecord], read: Callable[[RunRecord], Array | None]) -> Array | None:
    """Stack what is read of each run, (J, …), as (J, S, …); None if one lacks it, or was scored on other sequences."""
    # a file per thread at a time: values by lead time are averaged, then dropped
    with several_readers() as readers:
        found = [statistics for statistics in readers.map(read, records) if statistics is not None]
    if len(found) < len(records):
        return None
    # blocks of other sequences may have the same shape
    kinds = {(record.sequence_key, statistics.shape) for record, statistics in zip(records, found, strict=True)}
    return np.stack(found, axis=1) if len(kinds) == 1 else None


def total_of(metric: str, *, weighted: bool = False) -> Finish:
    """What makes a total of the means of statistics by sequence: a score, or the mean of lead times' scores."""
    finish = finish_of(metric, weighted=weighted)
    if not get_metric(metric).by_lead_time:
        return finish
    parts = len(get_metric(metric).parts) + weighted

    def mean_of_lead_times(means_Jx: Array) -> Array:
        return np.asarray(finish(means_Jx.reshape(parts, -1, *means_Jx.shape[1:])).mean(axis=0))

    return mean_of_lead_times


def is_weighted(records: Sequence[RunRecord]) -> bool:
    """Return whether the data lack values, so that statistics come with the share of scored frames."""
    return any(record.incomplete for record in records)


def finish_of(metric: str, *, weighted: bool = False) -> Finish:
    """Return the function from the means of a metric's statistics to its score, at one lead time or over all.

    ``weighted``: the last statistic is the share of scored frames.
    """
    contract = get_metric(metric)
    if contract.reduction == "mean" and not weighted:
        return mean_of_one

    def finish(means_Jx: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            means = means_Jx[:-1] / means_Jx[-1] if weighted else means_Jx
            return np.asarray(contract.finish(list(means)))

    return finish
