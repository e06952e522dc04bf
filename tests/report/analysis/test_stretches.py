"""Stretches of test sequences: the automatic length against its formulas in loops, and against theory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from stbench.report.analysis.stretches import (
    MIN_STRETCHES,
    OVERLAPS,
    Scored,
    Stretches,
    block_length,
    choose_stretches,
    correlation_length,
    mean_autocorrelation,
)


def ar1(rng: np.random.Generator, persistence: float, count: int, rows: int = 1) -> np.ndarray:
    noise = rng.normal(size=(rows, count + 500))
    return signal.lfilter([1], [1, -persistence], noise, axis=1)[:, 500:]


@pytest.mark.parametrize("persistence", [0.0, 0.3, 0.8])
def test_length_equals_the_published_formulas_in_loops(persistence: float) -> None:
    """Politis and White (2004), section 3.2, with D = 4/3 g(0)² for the circular bootstrap (correction of 2009)."""
    x = ar1(np.random.default_rng(1), persistence, 400)[0]
    n, most, run = len(x), 100, 5
    centred = x - x.mean()
    rho = [sum(centred[t] * centred[t + k] for t in range(n - k)) / sum(centred**2) for k in range(most + 1)]
    bound = 2 * math.sqrt(math.log10(n) / n)
    cut = next(m for m in range(most) if all(abs(rho[m + k]) < bound for k in range(1, run + 1)))
    window = 2 * max(cut, 1)
    slope = level = 0.0
    for k in range(-window, window + 1):
        share = abs(k) / window
        weight = 1.0 if share <= 0.5 else 2 * (1 - share)
        slope += weight * abs(k) * rho[abs(k)]
        level += weight * rho[abs(k)]
    expected = max(1.0, (2 * slope**2 / (4 / 3 * level**2)) ** (1 / 3) * n ** (1 / 3))
    correlation = mean_autocorrelation(x[None], most)
    np.testing.assert_allclose(correlation, rho, atol=1e-12)
    assert correlation_length(correlation, n) == cut
    assert block_length(correlation, n) == pytest.approx(expected)


def test_length_approaches_theory_for_an_ar1_process() -> None:
    """Σ|k|ρ^|k| over Σρ^|k| is 2ρ/(1 − ρ²)."""
    persistence, count = 0.8, 100_000
    found = block_length(mean_autocorrelation(ar1(np.random.default_rng(2), persistence, count), 330), count)
    expected = (1.5 * (2 * persistence / (1 - persistence**2)) ** 2 * count) ** (1 / 3)
    assert found == pytest.approx(expected, rel=0.1)


def test_independent_sequences_are_drawn_singly() -> None:
    rng = np.random.default_rng(3)
    single = [choose_stretches(rng.normal(size=(4, 200))) for _ in range(100)]
    assert sum(not one.correlated for one in single) > 85
    assert choose_stretches(np.zeros((3, 50))).count == 50


def test_persistent_errors_are_drawn_together() -> None:
    rng = np.random.default_rng(4)
    lengths = [choose_stretches(ar1(rng, 0.97, 960, 4)).length for _ in range(20)]
    assert min(lengths) > 30
    assert 960 / max(lengths) >= MIN_STRETCHES


def test_very_long_splits_are_drawn_in_at_most_a_thousand_stretches() -> None:
    found = choose_stretches(np.random.default_rng(5).normal(size=(2, 50_000)))
    assert (found.count, found.length, found.correlated) == (1000, 50, False)


@pytest.mark.parametrize(
    ("overlap", "length", "correlated"),
    [(1, 100, False), (2, 150, True), (26, 150, True), (60, 300, True)],
    ids=["none", "within a block", "into the next block", "three blocks on"],
)
def test_overlap_and_length_are_in_sequences_though_blocks_are_drawn(
    overlap: int, length: int, correlated: bool
) -> None:
    """100 000 sequences in 4000 blocks of 25: frames shared by those of blocks d apart if 25 (d - 1) + 1 < overlap."""
    found = choose_stretches(np.random.default_rng(5).normal(size=(2, 4000)), Scored(100_000, overlap))
    assert (found.length, found.correlated, found.blocks) == (length, correlated, 4000)


@given(st.integers(1, 400), st.integers(2, 20))
def test_overlapping_windows_are_never_split_too_finely(sequences: int, overlap: int) -> None:
    values = np.random.default_rng(sequences).normal(size=(2, sequences))
    found = choose_stretches(values, Scored(sequences, overlap))
    lengths = np.diff(found.starts, append=sequences)
    assert found.starts[0] == 0
    assert lengths.sum() == sequences
    assert lengths.max() - lengths.min() <= 1
    assert found.count == 1 or lengths.min() >= OVERLAPS * overlap
    assert found.enough == (found.count >= MIN_STRETCHES)


def test_means_of_unequal_stretches_average_to_the_mean_of_all() -> None:
    values = np.random.default_rng(6).random((2, 3, 23))
    stretches = Stretches(np.array([0, 7, 15]), 23, correlated=True)
    means, mean = stretches.means(values), values.mean(axis=-1)
    np.testing.assert_allclose(means.mean(axis=-1), mean)
    deviations = values - mean[..., None]
    np.testing.assert_allclose(means[..., 0], mean + deviations[..., :7].sum(axis=-1) * 3 / 23)
    assert stretches.halved().count == 6


def test_the_length_of_a_stretch_is_no_variance() -> None:
    assert np.ptp(Stretches(np.array([0, 7, 15]), 23, correlated=True).means(np.full(23, 9.0))) < 1e-12
