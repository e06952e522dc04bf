"""The record of a search: its trials, and how they were made comparable."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from stbench.schema.base import Record

TrialState = Literal["finished", "pruned", "failed", "open"]
"""``open``: not done yet; the same command goes on with it."""


class Trial(Record):
    """One setting that a search tried: a run that is trained and validated, and not tested.

    ``number``: counts from 0 within a method. ``settings``: value of each searched setting, as ``--set`` takes it.
    ``value``: the lowest validation MSE per frame of its epochs; None before the first. ``seconds``, ``macs``: of
    training; ``macs`` is None if they cannot be counted. ``run``: folder name; empty if the settings were refused.
    """

    method: str
    number: NonNegativeInt
    state: TrialState
    settings: dict[str, str]
    value: float | None = None
    epochs: NonNegativeInt = 0
    seconds: NonNegativeFloat = 0.0
    macs: NonNegativeFloat | None = None
    reason: str = ""
    run: str = ""


class Tuned(Record):
    """A search at equal budget.

    ``limit``: what every method got, in words. ``trial_seed``: seed of all trials. ``metric``: what was minimised, on
    the validation split: it selects checkpoints too.
    """

    benchmark: str
    protocol: str
    methods: tuple[str, ...]
    limit: str
    sampler: str
    pruner: str
    trial_seed: NonNegativeInt
    metric: str = "mse_frame"
    trials: tuple[Trial, ...]

    def of(self, method: str) -> tuple[Trial, ...]:
        """Return the trials of a method that have ended, in the order of their numbers."""
        return tuple(trial for trial in self.trials if trial.method == method and trial.state != "open")

    def best(self, method: str) -> Trial | None:
        """Return the finished trial with the lowest validation error, the earlier of two; None if none finished."""
        finished = [trial for trial in self.of(method) if trial.state == "finished" and trial.value is not None]
        return min(finished, key=lambda trial: trial.value or 0.0, default=None)
