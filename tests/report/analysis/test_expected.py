"""Expected lowest error of n trials: against all n-tuples of trials, written out."""

import itertools
import math

import numpy as np
import pytest

from stbench.report.analysis.expected import errors_of, expected_lowest
from stbench.schema.trial import Trial

SETS = ([3.0], [5.0, 1.0], [4.0, 2.5, 7.0, 2.6], [2.0, 2.0, 9.0, 1.5, 9.0])


@pytest.mark.parametrize("errors", SETS)
def test_mean_and_band_equal_those_of_all_draws_with_replacement(errors: list[float]) -> None:
    found = expected_lowest(errors)
    for n in range(1, len(errors) + 1):
        lowest = np.array([min(draw) for draw in itertools.product(errors, repeat=n)])
        mean, spread = lowest.mean(), lowest.std()
        assert found.mean[n - 1] == pytest.approx(mean, rel=1e-12)
        assert found.low[n - 1] == pytest.approx(max(mean - spread, min(errors)), rel=1e-9)
        assert found.high[n - 1] == pytest.approx(min(mean + spread, max(errors)), rel=1e-9)


def test_many_trials_against_random_draws() -> None:
    """Where the tuples are too many to write out: within five standard errors of 20 000 draws."""
    rng = np.random.default_rng(0)
    errors = rng.lognormal(size=30)
    found = expected_lowest(errors.tolist())
    for n in (1, 7, 30):
        lowest = rng.choice(errors, size=(20_000, n)).min(axis=1)
        assert abs(found.mean[n - 1] - lowest.mean()) < 5 * lowest.std() / math.sqrt(20_000)
        assert found.high[n - 1] - found.mean[n - 1] == pytest.approx(lowest.std(), rel=0.05)


def test_pruned_and_failed_trials_are_draws_too() -> None:
    def trial(number: int, state: str, value: float | None) -> Trial:
        return Trial.model_validate({"method": "m", "number": number, "state": state, "settings": {}, "value": value})

    trials = [trial(0, "finished", 2.0), trial(1, "pruned", 8.0), trial(2, "failed", None), trial(3, "failed", 1.0)]
    assert errors_of(trials) == [2.0, 8.0, 8.0, 8.0], "what a failed trial had before it failed is no result"
    assert errors_of([trial(0, "failed", 1.0)]) == []
