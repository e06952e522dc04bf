"""Cosine annealing per optimiser step with a linear warm-up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from stbench.schema.schedule import Position, Rate, Schedule, half_cosine


class CosineStep(Schedule):
    """Cosine rate per step from lr to ``min_lr``, after a linear warm-up from ``warmup_lr``.

    ``warmup`` is the share of all steps that the warm-up takes, so that a budget of time can hold it too.
    """

    follows = "steps"

    kind: Literal["cosine_step"] = "cosine_step"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    warmup_lr: NonNegativeFloat = 0.0
    min_lr: NonNegativeFloat = 0.0

    def rate(self, position: Position) -> Rate:
        """The first step after the warm-up is at the peak, the last step of training one before ``min_lr``.

        With n steps in all and w = round(warmup·n): lr(s) = warmup_lr + (peak − warmup_lr)·(s + 1)/(w + 1) for s < w,
        else min_lr + (peak − min_lr)·(1 + cos(π·(s − w)/(n − w)))/2. No step is wasted at a rate of 0.
        """
        step, total, peak = position.step, position.total_steps, position.peak
        warmup = round(self.warmup * total)
        if step < warmup:
            return Rate(self.warmup_lr + (peak - self.warmup_lr) * (step + 1) / (warmup + 1))
        return Rate(half_cosine(peak, self.min_lr, (step - warmup) / max(1, total - warmup)))
