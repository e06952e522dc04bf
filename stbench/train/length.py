"""Length of training: in epochs, in optimiser steps, or by a budget of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stbench.schema import Training


@dataclass(frozen=True)
class Length:
    """Optimiser steps of the whole run, and the number of epochs that contain them (the last may be shorter)."""

    steps: int
    epochs: int


def run_length(training: Training, steps_per_epoch: int, fitting_epochs: int | None = None) -> Length:
    """Return the length of a run; ``fitting_epochs`` is the number that fit a budget of time, if known.

    Before the first epoch is timed, the protocol's number of epochs is used; this affects only its learning rates.
    """
    if training.steps is not None:
        return Length(training.steps, math.ceil(training.steps / steps_per_epoch))
    epochs = training.epochs if fitting_epochs is None else fitting_epochs
    return Length(epochs * steps_per_epoch, epochs)


def epochs_that_fit(seconds: float, first_epoch_seconds: float) -> int:
    """Return the number of epochs in ``seconds``, judged by the first one; the last may be incomplete.

    >>> epochs_that_fit(10.0, 4.0), epochs_that_fit(1.0, 4.0)
    (3, 1)
    """
    return max(1, math.ceil(seconds / max(first_epoch_seconds, 1e-9)))
