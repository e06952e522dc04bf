"""Clips cut from prepared frames: windows are indexed, not copied; values are scaled when read.

Axes: B batch, T time, C channels, H, W, N windows.
"""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from torch import Tensor

from stbench.data.augment import Augment
from stbench.data.dataset import Indices, Split
from stbench.data.frame_cache.cache import NO_TIME, Prepared
from stbench.data.splits.windows import Windows
from stbench.schema import Scaling

UNCHANGED = Augment()


class StoredSplit(Split):
    """The clips of one split.

    Args:
        prepared: where frames are.
        windows_NT: rows of frame numbers.
        scaling: from stored to model values.
        augment: what is done to clips anew each epoch; training only.
    """

    def __init__(self, prepared: Prepared, windows_NT: Windows, scaling: Scaling, augment: Augment = UNCHANGED) -> None:
        self.prepared = prepared
        self.windows_NT = windows_NT
        self.augment = augment
        self._offset = np.array(scaling.offset, dtype=np.float32)[:, None, None]
        self._scale = np.array(scaling.scale, dtype=np.float32)[:, None, None]

    def __len__(self) -> int:
        return len(self.windows_NT)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Clips (B, T, C, H, W), float32 in model space; ``epoch`` matters only where they are augmented."""
        clips = self.prepared.frames[self.windows_NT[indices]].astype(np.float32)
        if self._offset.any():
            clips -= self._offset
        clips /= self._scale
        return self.augment(torch.from_numpy(clips), indices, epoch)

    def frames(self, indices: Indices) -> Indices:
        """Numbers of the stored frames, (B, T)."""
        return self.windows_NT[indices]

    def times(self, indices: Indices) -> Indices | None:
        """Minutes since 1970-01-01, (B, T); None where they are not known."""
        minutes: Indices = self.prepared.minutes[self.windows_NT[indices]]
        return None if (minutes == NO_TIME).any() else minutes

    def unaugmented(self) -> StoredSplit:
        """The same windows, nothing done to them."""
        plain = copy(self)
        plain.augment = UNCHANGED
        return plain
