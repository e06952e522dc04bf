"""A learning rate that does not change."""

from __future__ import annotations

from typing import Literal

from stbench.schema.schedule import Position, Rate, Schedule


class Constant(Schedule):
    """A constant rate.

    >>> Constant().rate(Position(peak=0.1, step=3, total_steps=10, epoch=0, total_epochs=1)).lr
    0.1
    """

    kind: Literal["constant"] = "constant"

    def rate(self, position: Position) -> Rate:
        """Return the peak."""
        return Rate(position.peak)
