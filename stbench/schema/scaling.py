"""How model space maps to physical units: one record, kept with a run, that both directions derive from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from stbench.schema.base import Record

if TYPE_CHECKING:
    from torch import Tensor

PerChannel = Annotated[tuple[float, ...], Field(min_length=1)]


class Scaling(Record):
    """physical = offset + scale · model, with one number for all channels or one for each; the default changes nothing.

    Axes: … any, C channels, H, W.
    """

    offset: PerChannel = (0.0,)
    scale: PerChannel = (1.0,)

    @model_validator(mode="after")
    def _invertible(self) -> Scaling:
        if 0.0 in self.scale:
            raise ValueError("a scale of 0 cannot be undone")
        return self

    def to_physical(self, x: Tensor) -> Tensor:
        """Model space (…, C, H, W) -> physical units, same shape."""
        return x if self == Scaling() else x * _column(self.scale, x) + _column(self.offset, x)

    def to_model(self, x: Tensor) -> Tensor:
        """Physical units (…, C, H, W) -> model space, same shape."""
        return x if self == Scaling() else (x - _column(self.offset, x)) / _column(self.scale, x)


def _column(values: tuple[float, ...], x: Tensor) -> Tensor:
    return x.new_tensor(values)[:, None, None]
