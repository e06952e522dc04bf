"""Augmentation of training clips: enlarged and cropped, rotated, mirrored, equally for all frames of a clip.

The changes depend only on (seed, epoch, index), so that worker count and resume do not matter.
Axes: B clips, T time, C channels, H, W; D draws.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, model_validator
from torch import Tensor
from torch.nn.functional import interpolate

from stbench.data.dataset import Indices
from stbench.data.random_streams import stream_key, uniforms
from stbench.errors import UserError
from stbench.schema import ClipShape, Record

Flip = Literal["horizontal", "vertical"]
Share = Annotated[float, Field(ge=0, le=1)]

FLIPS: dict[Flip, tuple[int, int]] = {"horizontal": (3, -1), "vertical": (4, -2)}  # draw, axis of (T, C, H, W)
DRAWS = 5  # row and column of the cut, quarter turns, one for each mirroring: each has its own, used or not


class Augment(Record):
    """Augmentation of training clips; none by default.

    Attributes:
        crop: frames are enlarged (bilinear) to 1/crop of their size, rounded down, and cropped to their size at a
            random place; None does not crop.
        turns: probabilities of rotation by 0, 1, 2 and 3 quarters clockwise.
        flips: directions in which a clip is mirrored with probability 1/2, after the turn.
        seed: seed of the draws; independent of a run's seed.
    """

    crop: Annotated[float, Field(gt=0, lt=1)] | None = None
    turns: tuple[Share, Share, Share, Share] = (1.0, 0.0, 0.0, 0.0)
    flips: tuple[Flip, ...] = ()
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _turns_add_up(self) -> Augment:
        if abs(sum(self.turns) - 1) > 1e-6:
            raise ValueError(f"turns are four probabilities that add up to 1; these add up to {sum(self.turns):g}")
        return self

    def check(self, shape: ClipShape, where: str) -> None:
        """Check that frames of this shape can be augmented.

        Raises:
            UserError: frames are not square and would be rotated by a quarter.
        """
        if self.turns[1] + self.turns[3] > 0 and shape.height != shape.width:
            raise UserError(
                f"{where}: frames of {shape.height}×{shape.width} cannot be turned by a quarter, only square ones. "
                "Set augment.turns to [1, 0, 0, 0] (or half turns), or resize the frames."
            )

    @property
    def changes(self) -> bool:
        """True if clips are changed at all."""
        return self.crop is not None or self.turns[0] < 1 or bool(self.flips)

    def __call__(self, clips_BTCHW: Tensor, indices: Indices, epoch: int) -> Tensor:
        """Return clips as augmented in this epoch, (B, T, C, H, W)."""
        if not self.changes:
            return clips_BTCHW
        draws_BD = uniforms(stream_key(self.seed, epoch), indices, DRAWS)
        upto = np.cumsum(self.turns) / sum(self.turns)
        quarters = np.searchsorted(upto, draws_BD[:, 2], side="right")
        made = torch.empty_like(clips_BTCHW)
        for number, clip in enumerate(clips_BTCHW):
            seen = clip if self.crop is None else _cut(clip, self.crop, *draws_BD[number, :2])
            seen = torch.rot90(seen, -int(quarters[number]), (-2, -1))
            mirrored = [axis for draw, axis in map(FLIPS.__getitem__, self.flips) if draws_BD[number, draw] < 0.5]
            made[number] = seen.flip(mirrored)
        return made


def _cut(clip_TCHW: Tensor, crop: float, down: float, right: float) -> Tensor:
    """Enlarge a clip by 1/crop and crop it to its size; ``down`` and ``right`` in [0, 1) place the window."""
    height, width = clip_TCHW.shape[-2:]
    large = interpolate(clip_TCHW, size=(int(height / crop), int(width / crop)), mode="bilinear", align_corners=False)
    top = int(down * (large.shape[-2] - height + 1))
    left = int(right * (large.shape[-1] - width + 1))
    return large[..., top : top + height, left : left + width]
