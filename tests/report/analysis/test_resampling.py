"""Resampled scores against loops: statistics are summed again and finished anew."""

import numpy as np
import pytest

from stbench.report.analysis.resampling import RowValues, draws, mean_of_one, resampled
from stbench.report.analysis.stretches import Stretches

STRETCHES = Stretches(np.array([0, 7, 15]), 23, correlated=True)


def root(means: np.ndarray) -> np.ndarray:
    return np.sqrt(means[0])


def ratio(means: np.ndarray) -> np.ndarray:
    """A critical success index: hits over hits, misses and false alarms."""
    return means[0] / (means[0] + means[1])


@pytest.mark.parametrize(("finish", "statistics"), [(mean_of_one, 1), (root, 1), (ratio, 2)])
def test_scores_are_summed_and_finished_as_a_loop_does(finish, statistics: int) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(1).random((statistics, 3, 23))
    row, drawn = RowValues(values, finish), draws(3, 40)
    found = resampled([row], STRETCHES, drawn)[0]
    parts = np.split(values, STRETCHES.starts[1:], axis=2)
    for number, counts in enumerate(np.concatenate(drawn)):
        taken = np.concatenate([p for p, times in zip(parts, counts, strict=True) for _ in range(int(times))], axis=2)
        scores = [finish(taken[:, seed].mean(axis=1)) for seed in range(3)]
        assert found[number] == pytest.approx(np.mean(scores))


def test_influence_is_the_jackknife_s() -> None:
    values = np.random.default_rng(2).random((2, 2, 9))
    row = RowValues(values, ratio)
    for seed in range(2):
        whole = ratio(values[:, seed].mean(axis=1))
        for i in range(9):
            rest = np.delete(values[:, seed], i, axis=1).mean(axis=1)
            assert row.influence[seed, i] == pytest.approx(9 * whole - 8 * ratio(rest))


def test_influence_of_a_mean_is_its_values() -> None:
    values = np.random.default_rng(3).random((1, 2, 9))
    np.testing.assert_array_equal(RowValues(values).influence, values[0])
    np.testing.assert_allclose(RowValues(values, lambda means: means[0]).influence, values[0])


def test_draws_are_uniform_in_chunks() -> None:
    chunks = draws(40_000, 300)
    assert len(chunks) > 1
    counts = np.concatenate(chunks)
    assert counts.shape == (300, 40_000)
    assert (counts.sum(axis=1) == 40_000).all()
    assert counts.var() == pytest.approx(1, rel=0.01)  # multinomial: nearly Poisson(1)
