"""Frames of any size: mirrored up to what a method divides by; its predictions are cropped back.

The one rule of the project. A method states what it needs by :func:`check_divisible`; :meth:`Method.create` builds it
for the next larger frame that fits. Rows are added at the bottom and columns at the right, as mirror images of the
frame (numpy's ``reflect``: the edge itself is not repeated). Losses and scores are of the data's own cells.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.schema import ClipShape

FEW = 16


class IndivisibleError(UserError):
    """A frame, or the grid that a network makes of it, does not divide by ``factor``."""

    def __init__(self, message: str, size: tuple[int, int], factor: int) -> None:
        super().__init__(message)
        self.factor = factor
        self.rows, self.columns = (side % factor > 0 for side in size)
        """Which sides do not divide."""


def check_divisible(height: int, width: int, factor: int, what: str) -> None:
    """Raise :class:`IndivisibleError` unless the frame divides by ``factor``, which the setting ``what`` needs."""
    if height % factor or width % factor:
        raise IndivisibleError(
            f"A frame of {height}×{width} does not divide by {factor}, which {what} needs. "
            f"Crop or pad it to {_up(height, factor)}×{_up(width, factor)}, or change {what}; "
            "stbench.create_method pads by itself.",
            (height, width),
            factor,
        )


def next_shape(shape: ClipShape, problem: IndivisibleError) -> ClipShape:
    """The shape with each side that did not divide at its next larger multiple of the factor.

    Where a grid's side did not divide, the frame's grows step by step until the grid's does.
    """
    grown = {
        name: _up(getattr(shape, name) + 1, problem.factor)
        for name, grows in (("height", problem.rows), ("width", problem.columns))
        if grows
    }
    return shape.model_copy(update=grown)


def is_too_large(padded: ClipShape, shape: ClipShape) -> bool:
    """Whether a side would be doubled and grow by more than :data:`FEW` pixels: such settings do not suit the frame."""
    sides = ((padded.height, shape.height), (padded.width, shape.width))
    return any(large >= max(2 * side, side + FEW + 1) for large, side in sides)


def mirror(x: Tensor, height: int, width: int) -> Tensor:
    """Continue frames (…, H, W) at the bottom and right by their mirror image, to (…, height, width).

    >>> mirror(torch.tensor([[[[0.0, 1.0, 2.0]]]]), 1, 5)[0, 0, 0].tolist()
    [0.0, 1.0, 2.0, 1.0, 0.0]
    """
    for axis, size in ((-2, height), (-1, width)):
        if size > x.shape[axis]:
            places = np.pad(np.arange(x.shape[axis]), (0, size - x.shape[axis]), mode="reflect")
            x = x.index_select(x.ndim + axis, torch.from_numpy(places).to(x.device))
    return x


def _up(size: int, factor: int) -> int:
    return -(-size // factor) * factor
