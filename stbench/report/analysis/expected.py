"""Expected validation error against the number of trials (Dodge et al., EMNLP 2019, "Show Your Work")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stbench.schema.trial import Trial

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """The lowest of n errors, n = 1 … N: its mean, and a band of one standard deviation within the errors seen."""

    mean: Numbers
    low: Numbers
    high: Numbers


def expected_lowest(errors: Sequence[float]) -> Expected:
    r"""Return the expected lowest of n draws from the empirical distribution of N errors, for n = 1 … N.

    Equations 4 to 7 of Dodge et al. state it for the highest accuracy of n trials; here lower is better:
    E[min] = Σ_i v_i · (P(V ≥ v_i)^n − P(V > v_i)^n). The band is the standard deviation of that lowest value, from the
    same weights, cut at the lowest and highest error seen, as in their figures.

    >>> expected_lowest([3.0, 1.0]).mean.tolist()
    [2.0, 1.5]
    """
    values = np.sort(np.asarray(errors, dtype=np.float64))
    count = len(values)
    draws = np.arange(1, count + 1)[:, None]
    at_least = (count - np.arange(count)) / count  # equal values: their differences add up to the right weight
    weights = at_least**draws - (at_least - 1 / count).clip(0) ** draws
    mean = weights @ values
    spread = np.sqrt((weights @ values**2 - mean**2).clip(0))
    return Expected(mean, (mean - spread).clip(values[0]), (mean + spread).clip(None, values[-1]))


def errors_of(trials: Sequence[Trial]) -> list[float]:
    """Return one error per trial that has ended: a pruned one has the lowest of its epochs, a failed one the worst.

    The worst is the highest error of the other trials. Empty if no trial has an error.
    """
    known = [trial.value for trial in trials if trial.state != "failed" and trial.value is not None]
    if not known:
        return []
    return [trial.value if trial.state != "failed" and trial.value is not None else max(known) for trial in trials]
