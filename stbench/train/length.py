"""How long a run is: in epochs, in optimiser steps, or until a budget of time is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stbench.schema import Training


@dataclass(frozen=True)
class Length:
    """Optimiser steps of the whole run, and the epochs in which they lie (the last one may be cut short)."""

    steps: int
    epochs: int


def run_length(training: Training, steps_per_epoch: int, fitting_epochs: int | None = None) -> Length:
    """Length of a run; ``fitting_epochs`` are those that fit a budget of time, once that is known.

    Until it is known the protocol's epochs stand in, which sets the learning rates of the first epoch only.
    """
    if training.steps is not None:
        return Length(training.steps, math.ceil(training.steps / steps_per_epoch))
    epochs = training.epochs if fitting_epochs is None else fitting_epochs
    return Length(epochs * steps_per_epoch, epochs)


def epochs_that_fit(seconds: float, first_epoch_seconds: float) -> int:
    """Epochs until ``seconds`` are spent, judged by the first one; the last of them is cut short.

    >>> epochs_that_fit(10.0, 4.0), epochs_that_fit(1.0, 4.0)
    (3, 1)
    """
    return max(1, math.ceil(seconds / max(first_epoch_seconds, 1e-9)))
