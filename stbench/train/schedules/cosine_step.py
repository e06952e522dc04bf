"""Cosine annealing per optimiser step with a linear warm-up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from stbench.schema.schedule import Position, Rate, Schedule, half_cosine


class CosineStep(Schedule):
    """Cosine rate per step from lr to ``min_lr``, after a linear warm-up from ``warmup_lr``.

    ``warmup`` is the share of steps in the warm-up, which is also defined under a budget of time.
    """

    follows = "steps"

    kind: Literal["cosine_step"] = "cosine_step"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    warmup_lr: NonNegativeFloat = 0.0
    min_lr: NonNegativeFloat = 0.0

    def rate(self, position: Position) -> Rate:
        """Return a rate that is the peak after the warm-up and would reach ``min_lr`` one step after the last.

        With n steps in total and w = round(warmup·n): lr(s) = warmup_lr + (peak − warmup_lr)·(s + 1)/(w + 1) for s < w,
        else min_lr + (peak − min_lr)·(1 + cos(π·(s − w)/(n − w)))/2.
        """
        step, total, peak = position.step, position.total_steps, position.peak
        warmup = round(self.warmup * total)
        if step < warmup:
            return Rate(self.warmup_lr + (peak - self.warmup_lr) * (step + 1) / (warmup + 1))
        return Rate(half_cosine(peak, self.min_lr, (step - warmup) / max(1, total - warmup)))
