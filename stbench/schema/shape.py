"""The shape of clips, shared by data, methods and the harness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt, ValidationError

from stbench.errors import UserError
from stbench.schema.base import Record, explain


class ClipShape(Record):
    """Lengths and frame size of a prediction task: ``t_in`` past frames, ``t_out`` future frames.

    >>> ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32).frame
    (2, 32, 32)

    Raises:
        UserError: a length or size is missing or not a positive integer, or a key is unknown.
    """

    t_in: PositiveInt
    t_out: PositiveInt
    channels: PositiveInt
    height: PositiveInt
    width: PositiveInt

    if not TYPE_CHECKING:  # type checkers use the constructor generated from the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise UserError(explain(error, type(self), type(self).__name__)) from None

        # pydantic then takes it for its own, and a shape inside another record is explained there, by its whole path
        __init__.__pydantic_base_init__ = True

    @property
    def frame(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def length(self) -> int:
        """Number of frames of a clip, past and future."""
        return self.t_in + self.t_out

    def past(self, batch: int) -> tuple[int, ...]:
        """Return the shape of a batch of pasts, (B, T_in, C, H, W)."""
        return batch, self.t_in, *self.frame

    def future(self, batch: int) -> tuple[int, ...]:
        """Return the shape of a batch of futures, (B, T_out, C, H, W)."""
        return batch, self.t_out, *self.frame
