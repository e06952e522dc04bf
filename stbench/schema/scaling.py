"""Mapping between model space and physical units, stored with each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from stbench.schema.base import Record

if TYPE_CHECKING:
    from torch import Tensor

PerChannel = Annotated[tuple[float, ...], Field(min_length=1)]


class Scaling(Record):
    """physical = offset + scale · model, with one number for all channels or one per channel; by default the identity.

    Axes: … any, C channels, H, W.
    """

    offset: PerChannel = (0.0,)
    scale: PerChannel = (1.0,)

    @model_validator(mode="after")
    def _invertible(self) -> Scaling:
        if 0.0 in self.scale:
            raise ValueError("a scale of 0 cannot be inverted")
        return self

    def to_physical(self, x: Tensor) -> Tensor:
        """Convert model space (…, C, H, W) to physical units, same shape."""
        return x if self == Scaling() else x * _column(self.scale, x) + _column(self.offset, x)

    def to_model(self, x: Tensor) -> Tensor:
        """Convert physical units (…, C, H, W) to model space, same shape."""
        return x if self == Scaling() else (x - _column(self.offset, x)) / _column(self.scale, x)


def _column(values: tuple[float, ...], x: Tensor) -> Tensor:
    return x.new_tensor(values)[:, None, None]
