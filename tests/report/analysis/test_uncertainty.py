"""Standard errors and degrees of freedom against scipy's t-tests; the normal scale against exact quantiles."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from stbench.report.analysis.resampling import RowValues
from stbench.report.analysis.stretches import Scored, Stretches, choose_stretches
from stbench.report.analysis.uncertainty import measure, student_p, student_quantile, student_scale, student_value


def single(count: int) -> Stretches:
    return Stretches(np.arange(count), count, correlated=False)


def test_untrained_rows_have_the_paired_t_test_s_error() -> None:
    rng = np.random.default_rng(1)
    a = rng.exponential(size=40)
    b = a + rng.normal(0.1, 0.3, size=40)
    known = measure([RowValues(x[None, None], trained=False) for x in (a, b)], single(40))
    error, freedom = known.pair(0, 1)
    oracle = stats.ttest_rel(a, b)
    assert (a - b).mean() / error == pytest.approx(oracle.statistic)
    assert freedom == pytest.approx(oracle.df)
    assert known.margin(0, 0.95) == pytest.approx(stats.sem(a) * stats.t.isf(0.025, 39))


def test_where_only_seeds_differ_the_error_is_welch_s() -> None:
    rng = np.random.default_rng(2)
    sequences = rng.random(30)
    seeds = rng.normal(0, 1, 4), rng.normal(0, 3, 3)
    rows = [RowValues((one[:, None] + sequences)[None]) for one in seeds]
    error, freedom = measure(rows, single(30)).pair(0, 1)
    oracle = stats.ttest_ind(*seeds, equal_var=False)
    assert (seeds[0].mean() - seeds[1].mean()) / error == pytest.approx(oracle.statistic)
    assert freedom == pytest.approx(oracle.df)


def test_seeds_count_beyond_what_sequences_explain() -> None:
    """Two-way analysis of variance in loops: the excess is the seeds' variance less the residual over N."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (4, 1)) + rng.normal(0, 1, (1, 25)) + rng.normal(0, 0.5, (4, 25))
    residual = 0.0
    for s in range(4):
        for n in range(25):
            residual += (values[s, n] - values[s].mean() - values[:, n].mean() + values.mean()) ** 2
    residual /= 3 * 24 * 25
    known = measure([RowValues(values[None])], single(25))
    assert known.seeds[0] == pytest.approx((values.mean(axis=1).var(ddof=1) - residual) / 4)
    assert known.interaction[0] == pytest.approx(residual / 4)


def test_stretches_account_for_correlated_neighbours() -> None:
    """An AR(1) process: the mean of N values varies (1 + ρ)/(1 − ρ) times as much as of independent ones."""
    rng, persistence, count = np.random.default_rng(4), 0.9, 20_000
    x = np.zeros(count)
    for t in range(1, count):
        x[t] = persistence * x[t - 1] + rng.normal()
    stretches = Stretches(np.arange(200) * 100, count, correlated=True)
    known = measure([RowValues(x[None, None], trained=False)], stretches)
    assert known.own[0] == pytest.approx(x.var() / count * (1 + persistence) / (1 - persistence), rel=0.25)


@pytest.mark.parametrize("count", [200, 999, 1001, 1500, 1999, 2600, 7300])
def test_splits_that_stretches_do_not_divide_have_the_t_test_s_error(count: int) -> None:
    """Stretches of one and of two sequences, or of two and three, of values far from zero."""
    values = np.random.default_rng(count).normal(10, 1, count)
    known = measure([RowValues(values[None, None], trained=False)], choose_stretches(values[None]))
    assert known.own[0] ** 0.5 == pytest.approx(stats.sem(values), rel=0.1)


@given(st.integers(16, 3000), st.integers(1, 12), st.floats(-100, 100))
def test_a_constant_added_to_all_values_changes_no_variance(count: int, overlap: int, constant: float) -> None:
    values_SN = np.random.default_rng(count).normal(size=(3, count))
    stretches = choose_stretches(values_SN, Scored(count, overlap))
    assume(stretches.enough)
    near, far = (measure([RowValues(one[None])], stretches) for one in (values_SN, values_SN + constant))
    for name in ("own", "seeds", "interaction"):
        np.testing.assert_allclose(getattr(far, name), getattr(near, name), rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("freedom", [1.0, 2.0, 4.5, 30.0])
def test_the_normal_scale_is_nearly_exact_and_inverts(freedom: float) -> None:
    for t in (0.5, 2.0, 8.0, 60.0):
        z = float(student_scale(np.array(t), np.array(freedom)))
        assert z == pytest.approx(stats.norm.isf(stats.t.sf(t, freedom)), abs=0.01, rel=0.1)
        assert student_value(z, freedom) == pytest.approx(t)


def test_quantiles_are_student_s() -> None:
    assert student_quantile(0.95, 2) == pytest.approx(4.30265, abs=1e-5)
    assert student_quantile(0.95, np.inf) == pytest.approx(1.95996, abs=1e-5)
    assert student_p(9.92484, 2) == pytest.approx(0.01, rel=1e-5)
    assert student_p(50.0, 100) == pytest.approx(2 * stats.t.sf(50.0, 100), rel=1e-9)
