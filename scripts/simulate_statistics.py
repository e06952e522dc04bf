"""Simulate tables to measure the coverage of intervals, false marks and power.

    python scripts/simulate_statistics.py [--tables 300] [--only TaxiNYC]

Prints the Markdown tables of docs/statistics.md. Axes: K rows, S seeds, N test sequences.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special, stats

from stbench.metrics.sequences import blocked
from stbench.report.analysis.compare import shared_stretches
from stbench.report.analysis.family import Family
from stbench.report.analysis.intervals import interval_of
from stbench.report.analysis.resampling import RowValues, draws
from stbench.report.analysis.stretches import Scored

Array = NDArray[np.floating[Any]]
RESAMPLES = 999
WINDOW = 8
TRUE_SCORE = 10.0
PERSISTENCE = 0.975
"""AR(1) coefficient for which means of 24 sequences correlate by 0.42 to 0.70, as measured on TaxiNYC."""


def independent(rng: np.random.Generator, *shape: int) -> Array:
    """Draw normal errors."""
    return rng.normal(size=shape)


def heavy(rng: np.random.Generator, *shape: int) -> Array:
    """Draw Student errors with 2.5 degrees of freedom, which have no finite third moment."""
    return rng.standard_t(2.5, size=shape)


def skewed(rng: np.random.Generator, *shape: int) -> Array:
    """Draw exponential errors."""
    return rng.exponential(size=shape) - 1


def windows(rng: np.random.Generator, *shape: int) -> Array:
    """Draw means of 8 consecutive frames; neighbours share 7 of them."""
    frames = rng.normal(size=(*shape[:-1], shape[-1] + WINDOW - 1))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(frames, WINDOW, axis=-1).mean(axis=-1) * WINDOW**0.5)


def persistent(rng: np.random.Generator, *shape: int) -> Array:
    """Draw an AR(1) process similar to the errors on TaxiNYC."""
    frames = rng.normal(size=(*shape[:-1], shape[-1] + 300))
    filtered = signal.lfilter([1], [1, -PERSISTENCE], frames, axis=-1)[..., 300:]
    return np.asarray(filtered * (1 - PERSISTENCE**2) ** 0.5)


@dataclass(frozen=True)
class Case:
    """Tables of K rows with S seeds over N sequences.

    ``between``: standard deviation of seeds. ``lead``: lead of the best. ``outlier``: adds one sequence with a random
    error of each row as large as all others together.
    """

    rows: int
    seeds: int
    sequences: int
    noise: Callable[..., Array] = independent
    between: float = 0.1
    outlier: bool = False
    lead: float = 0.0
    leaders: int = 1

    def table(self, rng: np.random.Generator) -> list[RowValues]:
        """Draw a table with equal rows, except that the first ``leaders`` are better by ``lead``."""
        count, noise = self.sequences, self.noise
        values_KSN = TRUE_SCORE + 3 * noise(rng, 1, 1, count) + noise(rng, self.rows, 1, count)
        values_KSN = values_KSN + 0.5 * noise(rng, self.rows, self.seeds, count)
        values_KSN += self.between * rng.normal(size=(self.rows, self.seeds, 1))
        if self.outlier:
            values_KSN[:, :, count // 3] += 5 * count**0.5 * rng.normal(size=(self.rows, 1))
        values_KSN[: self.leaders] -= self.lead
        blocked_KBS = blocked(values_KSN.swapaxes(1, 2))
        return [RowValues(values_BS.T[None]) for values_BS in blocked_KBS]

    def verdict(self, clear: dict[int, bool]) -> tuple[bool, float]:
        """Return whether a best row is marked, and the share of worse rows (or of all, if equal) that are."""
        leaders = self.leaders if self.lead else self.rows
        behind = [is_clear for i, is_clear in clear.items() if i >= leaders or not self.lead]
        return any(is_clear for i, is_clear in clear.items() if i < leaders), float(np.mean(behind))

    @property
    def overlap(self) -> int:
        """Number of places from which on sequences share no frame."""
        return WINDOW if self.noise is windows else 1


@dataclass(frozen=True)
class Outcome:
    """Shares: of tables with a false mark, of pairs with 0 inside the interval, and of worse rows distinguished.

    ``length`` is the mean length of the stretches.
    """

    any_mark: float
    coverage: float
    power: float
    length: float


def simulate(case: Case, tables: int, seed: int = 0) -> Outcome:
    """Draw tables and compare their rows as a report does."""
    rng = np.random.default_rng(seed)
    verdicts, held, lengths = [], [], []
    for _ in range(tables):
        rows = case.table(rng)
        stretches = shared_stretches(rows, Scored(case.sequences, case.overlap))
        family = Family(rows, stretches, resamples=RESAMPLES)
        best = int(np.argmin(family.uncertainty.scores))
        found = family.against(best)
        verdicts.append(case.verdict({i: one.clear for i, one in found.items()}))
        other = next(iter(found.values()))
        held.append(other.low <= 0 <= other.high)
        lengths.append(stretches.length)
    marked, told = np.mean(verdicts, axis=0)
    return Outcome(float(marked), float(np.mean(held)), float(told), float(np.mean(lengths)))


def simulate_scores(case: Case, tables: int, seed: int = 0) -> float:
    """Return the share of tables in which the 95 % interval of the first row's score holds the true one."""
    rng, held = np.random.default_rng(seed), 0
    for _ in range(tables):
        (row, *_) = case.table(rng)
        found = interval_of(row.statistics, row.finish, True, Scored(case.sequences, case.overlap))
        held += found.low is not None and found.high is not None and found.low <= TRUE_SCORE <= found.high
    return held / tables


def simulate_former(case: Case, tables: int, seed: int = 0) -> tuple[float, float]:
    """Apply the procedure of version 0.1.0: return the shares with a false mark and of rows distinguished.

    It compares each row with the observed best, with BCa intervals of a nested bootstrap and Holm's correction.
    """
    rng = np.random.default_rng(seed)
    starts = np.arange(case.sequences) if case.overlap == 1 else np.arange(0, case.sequences, 3 * case.overlap)
    counts_RU = np.concatenate(draws(len(starts), 1999)).astype(float)
    verdicts = []
    for _ in range(tables):
        rows = [row.statistics[0] for row in case.table(rng)]
        best = int(np.argmin([row.mean() for row in rows]))
        p = {i: _former_p(row, rows[best], starts, counts_RU, rng) for i, row in enumerate(rows) if i != best}
        largest, clear = 0.0, {}
        for rank, i in enumerate(sorted(p, key=lambda i: p[i])):
            largest = max(largest, (len(p) - rank) * p[i])
            clear[i] = largest <= 0.05
        verdicts.append(case.verdict(clear))
    marked, told = np.mean(verdicts, axis=0)
    return float(marked), float(told)


def _former_p(row_SN: Array, other_SN: Array, starts: Array, counts_RU: Array, rng: np.random.Generator) -> float:
    estimate, nested, paired, left_out, variances, freedoms = 0.0, 0.0, 0.0, 0.0, [], []
    for sign, values_SN in ((1, row_SN), (-1, other_SN)):
        seeds, count = values_SN.shape
        sums_SU, sizes_U = np.add.reduceat(values_SN, starts, axis=1), np.diff(starts, append=count)
        resampled_SR, observed_S = (sums_SU @ counts_RU.T) / (counts_RU @ sizes_U), values_SN.mean(axis=1)
        left_SU = (sums_SU.sum(axis=1, keepdims=True) - sums_SU) / (count - sizes_U)
        pseudo = observed_S[:, None] + (len(starts) - 1) * (observed_S[:, None] - left_SU)
        residual = pseudo - pseudo.mean(1, keepdims=True) - pseudo.mean(0) + pseudo.mean()
        noise = (residual**2).sum() / ((seeds - 1) * (len(starts) - 1)) / len(starts)
        excess = max(0.0, observed_S.var(ddof=1) - noise)
        drawn_R = np.take_along_axis(resampled_SR, rng.integers(seeds, size=resampled_SR.shape), axis=0).mean(axis=0)
        centre_R = resampled_SR.mean(axis=0)
        estimate, paired = estimate + sign * observed_S.mean(), paired + sign * centre_R
        nested = nested + sign * (centre_R + np.sqrt(excess / observed_S.var()) * (drawn_R - centre_R))
        left_out = left_out + sign * left_SU.mean(axis=0)
        variances.append(excess / seeds)
        freedoms.append(seeds - 1)
    variances, freedoms = [float(np.var(paired)), *variances], [len(starts) - 1, *freedoms]
    spent = sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    stretch = stats.t.ppf(0.975, sum(variances) ** 2 / spent) / special.ndtri(0.975)
    expanded = estimate + stretch * (nested - estimate)
    influence = (len(starts) - 1) * (np.mean(left_out) - left_out)
    acceleration = (influence**3).sum() / len(starts) ** 3 / sum(variances) ** 1.5 / 6
    floor = 1 / (len(expanded) + 1)
    bias = special.ndtri(np.clip((expanded < estimate).mean(), floor, 1 - floor))
    shift = special.ndtri(np.clip((expanded < 0).mean(), floor, 1 - floor)) - bias
    tail = special.ndtr(shift / max(1 + acceleration * shift, 0.1) - bias)
    return float(min(1.0, max(2 * min(tail, 1 - tail), 2 * floor)))


PAIRS = {
    "normal, seeds alike": Case(2, 3, 200, between=0.0),
    "normal, seeds differ": Case(2, 3, 200),
    "normal, seeds decide": Case(2, 3, 200, between=1.0),
    "2 seeds": Case(2, 2, 200),
    "5 seeds, skewed": Case(2, 5, 200, skewed),
    "heavy tails": Case(2, 3, 200, heavy),
    "50 sequences": Case(2, 3, 50),
    "1000 sequences": Case(2, 3, 1000),
    "overlapping windows": Case(2, 3, 320, windows),
    "as TaxiNYC": Case(2, 3, 960, persistent),
    "20 000 sequences, overlapping windows": Case(2, 3, 20_000, windows),
    "20 000 sequences, as TaxiNYC": Case(2, 3, 20_000, persistent),
}
SCORES = {
    "200 sequences": Case(1, 3, 200),
    "1500 sequences": Case(1, 3, 1500),
    "7300 sequences": Case(1, 3, 7300),
    "1500 sequences, overlapping windows": Case(1, 3, 1500, windows),
    "960 sequences, as TaxiNYC": Case(1, 3, 960, persistent),
    "20 000 sequences, as TaxiNYC": Case(1, 3, 20_000, persistent),
}
NULLS = {
    "3 rows, 2 seeds": Case(3, 2, 200),
    "3 rows, 3 seeds, 50 sequences": Case(3, 3, 50),
    "6 rows, 2 seeds": Case(6, 2, 200),
    "6 rows, 3 seeds": Case(6, 3, 200),
    "6 rows, 5 seeds, 1000 sequences": Case(6, 5, 1000),
    "12 rows, 3 seeds": Case(12, 3, 200),
    "12 rows, 3 seeds, heavy tails": Case(12, 3, 200, heavy),
    "12 rows, 3 seeds, one outlier": Case(12, 3, 200, outlier=True),
    "12 rows, 3 seeds, overlapping windows": Case(12, 3, 320, windows),
    "12 rows, 3 seeds, as TaxiNYC": Case(12, 3, 960, persistent),
    "12 rows, 3 seeds, 4 of them better by 0.2": Case(12, 3, 200, lead=0.2, leaders=4),
    "12 rows, 3 seeds, 4 of them better by 0.5": Case(12, 3, 200, lead=0.5, leaders=4),
    "30 rows, 3 seeds": Case(30, 3, 200),
    "30 rows, 2 seeds, 50 sequences": Case(30, 2, 50),
    "30 rows, 5 seeds, as TaxiNYC": Case(30, 5, 960, persistent),
}
POWERS = {
    "3 rows, 3 seeds": Case(3, 3, 200, lead=0.5),
    "6 rows, 3 seeds": Case(6, 3, 200, lead=0.5),
    "6 rows, 5 seeds": Case(6, 5, 200, lead=0.5),
    "12 rows, 3 seeds": Case(12, 3, 200, lead=0.5),
    "12 rows, 2 seeds": Case(12, 2, 200, lead=0.5),
}


def lines(tables: int, only: str = "") -> Iterator[str]:
    """Yield the Markdown of the page line by line; ``only`` selects cases by part of their name."""
    yield from ("| pair of equal rows | interval holds 0 | stretch |", "| --- | ---: | ---: |")
    for name, case in _named(PAIRS, only):
        found = simulate(case, 2 * tables)
        yield f"| {name} | {100 * found.coverage:.1f} % | {found.length:.0f} |"
    yield from ("", "| score of a row | interval holds the true one |", "| --- | ---: |")
    for name, case in _named(SCORES, only):
        yield f"| {name} | {100 * simulate_scores(case, 2 * tables):.1f} % |"
    yield from ("", "| table of equal rows | any false mark | before |", "| --- | ---: | ---: |")
    for name, case in _named(NULLS, only):
        found, (before, _) = simulate(case, tables), simulate_former(case, tables)
        yield f"| {name} | {100 * found.any_mark:.1f} % | {100 * before:.1f} % |"
    yield from ("", "| best row leads by 0.5 | other rows distinguished | before |", "| --- | ---: | ---: |")
    for name, case in _named(POWERS, only):
        found, (_, before) = simulate(case, tables), simulate_former(case, tables)
        yield f"| {name} | {100 * found.power:.0f} % | {100 * before:.0f} % |"


def _named(cases: dict[str, Case], part: str) -> list[tuple[str, Case]]:
    return [(name, case) for name, case in cases.items() if part in name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=300, help="simulated tables per case")
    parser.add_argument("--only", default="", metavar="TEXT", help="run only cases whose name contains it")
    arguments = parser.parse_args()
    for line in lines(arguments.tables, arguments.only):
        print(line, flush=True)
