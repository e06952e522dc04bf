"""The one description of a clip's shape that data, methods and the harness share."""

from __future__ import annotations

from pydantic import PositiveInt

from stbench.schema.base import Record


class ClipShape(Record):
    """Lengths and frame size of a prediction task: ``t_in`` past frames in, ``t_out`` future frames out.

    >>> ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32).frame
    (2, 32, 32)
    """

    t_in: PositiveInt
    t_out: PositiveInt
    channels: PositiveInt
    height: PositiveInt
    width: PositiveInt

    @property
    def frame(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def length(self) -> int:
        """Frames of a whole clip, past and future."""
        return self.t_in + self.t_out

    def past(self, batch: int) -> tuple[int, ...]:
        """Shape of a batch of pasts, (B, T_in, C, H, W)."""
        return batch, self.t_in, *self.frame

    def future(self, batch: int) -> tuple[int, ...]:
        """Shape of a batch of futures, (B, T_out, C, H, W)."""
        return batch, self.t_out, *self.frame
