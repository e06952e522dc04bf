"""Cosine annealing per epoch (Loshchilov & Hutter, ICLR 2017) with a linear warm-up."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from stbench.schema.schedule import Position, Rate, Schedule, half_cosine


class Cosine(Schedule):
    """Cosine rate per epoch, from lr to ``min_lr``, after a linear warm-up from ``warmup_lr``."""

    kind: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegativeInt = 0
    warmup_lr: NonNegativeFloat = 1e-5
    min_lr: NonNegativeFloat = 1e-6

    def rate(self, position: Position) -> Rate:
        """Return the rate of a cosine over all epochs, of which the warm-up replaces the beginning.

        lr(e) = warmup_lr + e·(peak − warmup_lr)/warmup_epochs for e < warmup_epochs, else
        min_lr + (peak − min_lr)·(1 + cos(π·e/total_epochs))/2: the published setting (timm's scheduler).
        """
        epoch, peak = position.epoch, position.peak
        if epoch < self.warmup_epochs:
            return Rate(self.warmup_lr + epoch * (peak - self.warmup_lr) / self.warmup_epochs)
        return Rate(half_cosine(peak, self.min_lr, min(epoch / position.total_epochs, 1.0)))
