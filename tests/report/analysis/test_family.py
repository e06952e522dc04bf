"""Marks, intervals and p-values of a column agree with each other and with the evidence."""

import numpy as np
import pytest
from scipy import stats

from stbench.report.analysis.family import Family
from stbench.report.analysis.resampling import RESAMPLES, RowValues
from stbench.report.analysis.stretches import Stretches


def single(count: int) -> Stretches:
    return Stretches(np.arange(count), count, correlated=False)


def untrained(*rows: np.ndarray) -> list[RowValues]:
    return [RowValues(row[None, None], trained=False) for row in rows]


def nested(rng: np.random.Generator, shift: float, seeds: int, count: int, between: float) -> RowValues:
    values = shift + between * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, count))
    return RowValues(values[None])


def test_two_untrained_rows_are_compared_as_by_a_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=30)
    b = a + rng.normal(0.2, 0.5, size=30)
    found = Family(untrained(b, a), single(30)).against(1)[0]
    oracle = stats.ttest_rel(b, a)
    assert found.p == pytest.approx(oracle.pvalue, abs=0.015)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval()), abs=0.02)


def test_many_independent_rows_are_compared_as_by_tukey() -> None:
    """Rows without a shared part are groups: the studentised range of scipy is the oracle."""
    rng = np.random.default_rng(2)
    groups = [rng.normal(0.1 * k, 1, 400) for k in range(5)]
    oracle = stats.tukey_hsd(*groups)
    found = Family(untrained(*groups), single(400)).against(0)
    farthest = max(found, key=lambda k: found[k].estimate)
    assert found[farthest].p == pytest.approx(oracle.pvalue[farthest, 0], abs=0.03)
    for k, one in found.items():  # steps make the nearer rows' p-values no larger, but for the order they keep
        assert one.p <= max(oracle.pvalue[k, 0], found[farthest].p) + 0.03


def test_steps_hold_each_row_against_what_is_left() -> None:
    """With a far row told apart, the two near ones are compared as if they were alone."""
    rng = np.random.default_rng(8)
    shared = rng.normal(size=100)
    near = [shared + 0.5 * rng.normal(size=100) for _ in range(2)]
    far = [shared + 5 + k + 0.5 * rng.normal(size=100) for k in range(6)]
    alone = Family(untrained(*near), single(100)).against(0)[1]
    among = Family(untrained(*near, *far), single(100)).against(0)[1]
    assert among.p == pytest.approx(alone.p, abs=0.02)
    assert (among.low, among.high) == pytest.approx((alone.low, alone.high), abs=0.02)


def test_one_contrary_sequence_does_not_undo_five_hundred() -> None:
    """A bias-corrected bootstrap put p at 0.0477 here, where a t-test has 4.5e-105."""
    rng = np.random.default_rng(3)
    base = rng.random(500)
    worse = base + 1 + 0.1 * rng.normal(size=500)
    worse[7] = base[7] - 1
    found = Family(untrained(worse, base), single(500)).against(1)[0]
    assert found.p == 1 / (RESAMPLES + 1)
    assert found.clear
    assert found.low > 0.9


def test_the_least_p_value_does_not_grow_with_the_table() -> None:
    rng = np.random.default_rng(4)
    shared = rng.random(200)
    rows = [shared + 0.5 * k + 0.05 * rng.normal(size=200) for k in range(52)]
    family = Family(untrained(*rows), single(200))
    assert all(family.against(0)[k].p == 1 / (RESAMPLES + 1) for k in range(1, 52))


def test_a_row_is_marked_exactly_where_its_interval_holds_zero() -> None:
    marked = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        rows = [nested(rng, 0.25 * k, 2 + k % 3, 60, 0.1) for k in range(7)]
        family = Family(rows, single(60), resamples=999)
        for best in range(7):
            for found in family.against(best).values():
                assert found.clear == (found.low > 0 or found.high < 0)
                assert found.low < found.estimate < found.high
                marked.add(found.clear)
    assert marked == {True, False}


def test_equal_rows_are_never_told_apart() -> None:
    values = np.random.default_rng(6).random(30)
    found = Family(untrained(values, values), single(30)).against(1)[0]
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert not found.clear


def test_a_constant_shift_is_certain() -> None:
    values = np.random.default_rng(7).random(30)
    found = Family(untrained(values + 1, values), single(30)).against(1)[0]
    assert found.clear
    assert (found.low, found.high) == pytest.approx((1, 1))


def test_few_seeds_widen_the_interval_as_student_s_t_does() -> None:
    """Seeds that differ and sequences that do not: two seeds a row leave about two degrees of freedom."""
    rows = [RowValues(np.array([[[m - 1.0] * 20, [m + 1.0] * 20]])) for m in (10.0, 12.0)]
    found = Family(rows, single(20)).against(0)[1]
    error = 2**0.5  # the variance of each mean of two is 2/2
    assert (found.high - found.estimate) / error == pytest.approx(stats.t.isf(0.025, 2), rel=1e-3)
    assert not found.clear
