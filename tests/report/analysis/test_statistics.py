"""Every statistic against an oracle of its own: loops, scipy, hand-worked numbers, simulated coverage."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from stbench.report.analysis.statistics import (
    STRETCH,
    band,
    bca_interval,
    bca_p_value,
    compare,
    draws,
    holm,
    resample,
    units,
)


def test_resampled_scores_equal_a_loop() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((3, 17))
    drawn_all = draws(17, 50)
    scores = resample(values, drawn_all, root=True)
    for seed in range(3):
        for number, counts in enumerate(np.concatenate(drawn_all)):
            drawn = [values[seed, i] for i, times in enumerate(counts) for _ in range(times)]
            assert len(drawn) == 17
            assert scores.resampled[seed, number] == pytest.approx((sum(drawn) / 17) ** 0.5)
        for i in range(17):
            rest = [values[seed, j] for j in range(17) if j != i]
            assert scores.left_out[seed, i] == pytest.approx((sum(rest) / 16) ** 0.5)


def test_draws_are_uniform_in_chunks() -> None:
    chunks = draws(40_000, 300)
    assert len(chunks) > 1
    counts = np.concatenate(chunks)
    assert counts.shape == (300, 40_000)
    assert (counts.sum(axis=1) == 40_000).all()
    assert counts.var() == pytest.approx(1, rel=0.01)  # multinomial: nearly Poisson(1)


def test_bca_interval_equals_scipy() -> None:
    values = np.random.default_rng(2).exponential(size=60)
    scores = resample(values[None], draws(60, 3000))
    known = SimpleNamespace(bootstrap_distribution=scores.resampled[0])
    oracle = stats.bootstrap((values,), np.mean, n_resamples=0, bootstrap_result=known, method="BCa")
    influence = values - values.mean()  # (N−1)·(mean of left-out means − left-out mean)
    acceleration = (influence**3).sum() / (influence**2).sum() ** 1.5 / 6
    found = bca_interval(scores.resampled[0], values.mean(), acceleration, 0.95)
    assert found == pytest.approx(tuple(oracle.confidence_interval), rel=1e-3)


def test_paired_comparison_of_untrained_rows_equals_scipy() -> None:
    rng = np.random.default_rng(3)
    a = rng.exponential(size=80)
    b = a + rng.normal(0.1, 0.3, size=80)
    oracle = stats.bootstrap(
        (b, a), lambda x, y, axis: x.mean(axis) - y.mean(axis), paired=True, n_resamples=9999, rng=0, method="BCa"
    ).confidence_interval
    weights = draws(80, 9999)
    found = compare(resample(b[None], weights), resample(a[None], weights), rng)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.006)


def test_nested_variance_equals_a_brute_force_bootstrap() -> None:
    """Draw sequences, then seeds, in loops; the stretch is worked out by hand."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, (1, 25)) + rng.normal(0, 0.5, (4, 25))
    scores = resample(values, draws(25, 20_000))
    vectorised = scores.nested(np.random.default_rng(0))
    looped = []
    for _ in range(20_000):
        means = values[:, rng.integers(25, size=25)].mean(axis=1)
        drawn = means[rng.integers(4, size=4)].mean()
        looped.append((means.mean(), drawn - means.mean()))
    centre, deviation = np.array(looped).T
    excess = values.mean(axis=1).var(ddof=1) - _residual_variance(values) / 25
    stretch = (excess / values.mean(axis=1).var()) ** 0.5
    assert vectorised.var() == pytest.approx((centre + stretch * deviation).var(), rel=0.06)


def _residual_variance(values: np.ndarray) -> float:
    total = 0.0
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    for s in range(values.shape[0]):
        for n in range(values.shape[1]):
            total += (values[s, n] - rows[s] - columns[n] + values.mean()) ** 2
    return total / ((values.shape[0] - 1) * (values.shape[1] - 1))


def test_p_value_and_interval_agree() -> None:
    """The interval at confidence 1 − p has its nearer end at 0."""
    values = np.random.default_rng(5).gamma(2.0, size=50) - 1.5
    scores = resample(values[None], draws(50, 5000))
    p = bca_p_value(scores.resampled[0], values.mean(), 0.03)
    assert 0.001 < p < 0.5
    low, _ = bca_interval(scores.resampled[0], values.mean(), 0.03, 1 - p)
    assert low == pytest.approx(0, abs=2e-3)


def test_equal_rows_are_never_told_apart() -> None:
    values = np.random.default_rng(6).random((3, 30))
    scores = resample(values, draws(30, 500))
    one = resample(values[:1], draws(30, 500))
    same = compare(one, one, np.random.default_rng(0))
    assert (same.estimate, same.low, same.high, same.p) == (0, 0, 0, 1)
    found = compare(scores, scores, np.random.default_rng(0))
    assert found.low < 0 < found.high
    assert found.p > 0.5


def test_a_constant_shift_is_certain() -> None:
    values = np.random.default_rng(7).random((1, 30))
    weights = draws(30, 500)
    found = compare(resample(values + 1, weights), resample(values, weights), np.random.default_rng(0))
    assert found.low == pytest.approx(1)
    assert found.p < 0.05


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04 raised to 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_as_the_step_down_rule_does(p_values: list[float]) -> None:
    """Holm (1979): walk up the sorted p-values, stop at the first p > α/(m − i)."""
    level, rejected = 0.05, set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - rank) > level:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_band_holds_the_mean_and_widens_with_the_spread() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(1, [0.1, 1.0], (3, 200, 2))
    centre, low, high = band(values)
    np.testing.assert_allclose(centre, values.mean(axis=(0, 1)))
    assert (low < centre).all()
    assert (centre < high).all()
    assert (high - low)[1] > 5 * (high - low)[0]


CASES = {
    "no variance between seeds": (3, 60, 0.0, False),
    "little": (3, 60, 0.1, False),
    "as much as between sequences": (3, 60, 1.0, False),
    "five seeds, skewed errors": (5, 60, 0.3, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_coverage_on_nested_data(case: tuple[int, int, float, bool]) -> None:
    """A nominal 95 % interval holds the true difference in 92 to 97 % of 1500 simulated experiments."""
    rng = np.random.default_rng(0)
    held = [_covers(rng, *case) for _ in range(1500)]
    assert 0.92 <= np.mean(held) <= 0.97


def _covers(rng: np.random.Generator, seeds: int, sequences: int, between: float, skewed: bool) -> bool:
    def noise(*shape: int) -> np.ndarray:
        return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)

    shared = noise(1, sequences)

    def row() -> np.ndarray:
        own = noise(1, sequences)
        return rng.normal(0, between, (seeds, 1)) + shared + own + noise(seeds, sequences)

    weights = draws(sequences, 1000, int(rng.integers(1 << 30)))
    found = compare(resample(row(), weights), resample(row(), weights), rng)
    return found.low <= 0 <= found.high


def test_resampled_stretches_equal_a_loop() -> None:
    rng = np.random.default_rng(9)
    values, starts = rng.random((2, 23)), np.array([0, 7, 15])
    drawn_all = draws(3, 40)
    scores = resample(values, drawn_all, starts)
    stretches = np.split(values, starts[1:], axis=1)
    for number, counts in enumerate(np.concatenate(drawn_all)):
        drawn = np.concatenate([s for s, times in zip(stretches, counts, strict=True) for _ in range(times)], axis=1)
        np.testing.assert_allclose(scores.resampled[:, number], drawn.mean(axis=1))
    for i in range(3):
        rest = np.concatenate([s for j, s in enumerate(stretches) if j != i], axis=1)
        np.testing.assert_allclose(scores.left_out[:, i], rest.mean(axis=1))


@given(st.integers(1, 400), st.integers(1, 20))
def test_units_cover_the_sequences_in_stretches_long_enough(sequences: int, overlap: int) -> None:
    starts = units(sequences, overlap)
    lengths = np.diff(starts, append=sequences)
    assert starts[0] == 0
    assert lengths.sum() == sequences
    assert lengths.max() - lengths.min() <= 1
    if overlap == 1:
        assert len(starts) == sequences
    elif sequences >= STRETCH * overlap:
        assert lengths.min() >= STRETCH * overlap


def test_sequences_that_share_frames_are_not_independent() -> None:
    """Drawn one by one, windows that overlap by 7 of 8 frames give intervals that hold far too rarely."""
    rng = np.random.default_rng(1)
    assert np.mean([_covers_windows(rng, 320, 8, 0.0, known=False) for _ in range(120)]) < 0.8
    assert np.mean([_covers_windows(rng, 320, 8, 0.0, known=True) for _ in range(120)]) > 0.88


@pytest.mark.slow
@pytest.mark.parametrize("persistence", [0.0, 0.4])
@pytest.mark.parametrize("sequences", [320, 640])
def test_coverage_on_windows_that_share_frames(sequences: int, persistence: float) -> None:
    """Errors of frames follow an AR(1) process, a sequence is the mean of 8 consecutive frames."""
    rng = np.random.default_rng(2)
    held = [_covers_windows(rng, sequences, 8, persistence, known=True) for _ in range(1500)]
    assert 0.92 <= np.mean(held) <= 0.97


def _covers_windows(rng: np.random.Generator, sequences: int, length: int, persistence: float, *, known: bool) -> bool:
    def windows(seeds: int) -> np.ndarray:
        noise = rng.normal(size=(seeds, sequences + length + 40))
        frames = signal.lfilter([1], [1, -persistence], noise, axis=1)[:, 41:]
        return np.lib.stride_tricks.sliding_window_view(frames, length, axis=1).mean(axis=2)

    def row() -> np.ndarray:
        return windows(1) + 0.3 * windows(3) + rng.normal(0, 0.02, (3, 1))

    starts = units(sequences, length if known else 1)
    weights = draws(len(starts), 600, int(rng.integers(1 << 30)))
    found = compare(resample(row(), weights, starts), resample(row(), weights, starts), rng)
    return found.low <= 0 <= found.high
