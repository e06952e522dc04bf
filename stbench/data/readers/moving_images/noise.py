"""Noisy Moving MNIST: corruption of the past frames of a clip; future frames stay clean.

Axes: B batch, G glyphs of a clip, T time, H, W canvas.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from stbench.data.dataset import Indices
from stbench.data.random_streams import stream_key, uniforms
from stbench.schema import Record

JOLTS, HIDDEN = 101, 102  # separate streams, so that glyphs and paths are those of clean clips
TINY = 2.0**-54

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]


class Noise(Record):
    """One of three corruptions.

    Attributes:
        kind: ``dynamic`` disturbs the motion: in each past step normal numbers are added to the sine and the cosine of
            the direction, for each glyph. ``missing`` makes past frames black. ``perceptual`` makes a square of each
            past frame black.
        sigma: standard deviation of the motion's noise, relative to the speed.
        share: probability that a past frame is missing.
        side: side of the black square in pixels.
    """

    kind: Literal["dynamic", "missing", "perceptual"]
    sigma: PositiveFloat = 0.2
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    side: PositiveInt = 24

    def text(self, splits: tuple[str, ...]) -> str:
        """Describe the condition of each split for a data report."""
        named = {"train": "training", "val": "validation", "test": "test"}
        said = [f"{words} {'noisy' if split in splits else 'clean'}" for split, words in named.items()]
        return f"{self.kind} noise on past frames: {', '.join(said)}"

    def jolts(self, key: int, indices: Indices, glyphs: int, t_in: int, length: int) -> Floats | None:
        """Draw the change of each step's direction, (B, G, T, 2), which is 0 in the future; None for clean motion."""
        if self.kind != "dynamic":
            return None
        pairs = uniforms(stream_key(key, JOLTS), indices, glyphs * t_in * 2).reshape(len(indices), glyphs, t_in, 2)
        radius = np.sqrt(-2 * np.log(pairs[..., 0] + TINY))  # Box and Muller
        angle = 2 * np.pi * pairs[..., 1]
        jolts = np.zeros((len(indices), glyphs, length, 2))
        jolts[:, :, :t_in] = self.sigma * np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)
        return jolts

    def hide(self, past_BTHW: Images, key: int, indices: Indices) -> None:
        """Make past frames, or squares of them, black in place."""
        batch, t_in, height, width = past_BTHW.shape
        if self.kind == "missing":
            past_BTHW[uniforms(stream_key(key, HIDDEN), indices, t_in) < self.share] = 0
        elif self.kind == "perceptual":
            room = np.array([height - self.side, width - self.side])
            corners = uniforms(stream_key(key, HIDDEN), indices, 2 * t_in).reshape(batch, t_in, 2)
            tops, lefts = np.moveaxis((corners * room).astype(np.int64), -1, 0)
            rows = tops[..., None] + np.arange(self.side)
            columns = lefts[..., None] + np.arange(self.side)
            clip, time = np.arange(batch)[:, None, None, None], np.arange(t_in)[:, None, None]
            past_BTHW[clip, time, rows[..., :, None], columns[..., None, :]] = 0
