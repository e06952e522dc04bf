"""The one-cycle learning rate (Smith & Topin, 2019) with cosine ramps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from stbench.schema.schedule import Position, Rate, Schedule, half_cosine


class OneCycle(Schedule):
    """One-cycle rate per step: cosine up from lr/div over ``warmup`` of the steps, then down to lr/(div·final_div).

    ``momentum`` (low, high): the optimiser's momentum (Adam's beta1) mirrors the rate between them, as torch's
    OneCycleLR does by default.
    """

    follows = "steps"

    kind: Literal["onecycle"] = "onecycle"
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div: PositiveFloat = 25.0
    final_div: PositiveFloat = 1e4
    momentum: tuple[float, float] | None = (0.85, 0.95)

    def rate(self, position: Position) -> Rate:
        """Return the rate of torch's OneCycleLR before this step."""
        step, total, peak = position.step, position.total_steps, position.peak
        start, end = peak / self.div, peak / (self.div * self.final_div)
        turn, last = self.warmup * total - 1, total - 1
        rising = step <= turn
        first, final = (0.0, turn) if rising else (turn, last)
        part = (step - first) / (final - first) if final > first else 1.0
        lr = half_cosine(start, peak, part) if rising else half_cosine(peak, end, part)
        if self.momentum is None:
            return Rate(lr)
        low, high = self.momentum
        return Rate(lr, half_cosine(high, low, part) if rising else half_cosine(low, high, part))
