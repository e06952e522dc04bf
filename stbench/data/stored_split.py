"""Clips cut from prepared frames: windows are indexed, not copied; values are scaled when read.

Axes: B batch, T time, C channels, H, W, N windows.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stbench.data.base import Indices, Split
from stbench.data.counter_rng import stream_key, uniforms
from stbench.data.store import NO_TIME, Prepared
from stbench.data.windows import Windows
from stbench.schema import Scaling

Flip = Literal["horizontal", "vertical"]
FLIP_AXES: dict[Flip, int] = {"horizontal": 4, "vertical": 3}


class StoredSplit(Split):
    """The clips of one split.

    Args:
        prepared: where frames are.
        windows_NT: rows of frame numbers.
        scaling: from stored to model values.
        flips: directions in which a whole clip is mirrored with probability 1/2, anew each epoch; training only.
        seed: of the flips, with the epoch and the clip's number.
    """

    def __init__(
        self, prepared: Prepared, windows_NT: Windows, scaling: Scaling, flips: tuple[Flip, ...] = (), seed: int = 0
    ) -> None:
        self.prepared = prepared
        self.windows_NT = windows_NT
        self.flips = flips
        self.seed = seed
        self._offset = np.array(scaling.offset, dtype=np.float32)[:, None, None]
        self._scale = np.array(scaling.scale, dtype=np.float32)[:, None, None]

    def __len__(self) -> int:
        return len(self.windows_NT)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Clips (B, T, C, H, W), float32 in model space; ``epoch`` matters only for flips."""
        clips = self.prepared.frames[self.windows_NT[indices]].astype(np.float32)
        if self._offset.any():
            clips -= self._offset
        clips /= self._scale
        tensor = torch.from_numpy(clips)
        if self.flips:
            draws = uniforms(stream_key(self.seed, epoch), indices, len(self.flips)) < 0.5
            for number, flip in enumerate(self.flips):
                chosen = torch.from_numpy(draws[:, number])
                tensor[chosen] = tensor[chosen].flip(FLIP_AXES[flip])
        return tensor

    def frames(self, indices: Indices) -> Indices:
        """Numbers of the stored frames, (B, T)."""
        return self.windows_NT[indices]

    def times(self, indices: Indices) -> Indices | None:
        """Minutes since 1970-01-01, (B, T); None where they are not known."""
        minutes: Indices = self.prepared.minutes[self.windows_NT[indices]]
        return None if (minutes == NO_TIME).any() else minutes
