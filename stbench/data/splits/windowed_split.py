"""Clips from the frame cache: windows index frames without copying them; values are scaled when read.

Axes: B batch, T time, C channels, H, W, N windows, F cached frames.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stbench.data.augment import Augment
from stbench.data.dataset import Indices, Split
from stbench.data.formats.recording import Seconds
from stbench.data.splits.windows import SplitWindows, Windows
from stbench.schema import Scaling

UNCHANGED = Augment()


class StoredFrames(Protocol):
    """Frames and their times, as a frame cache stores them."""

    @property
    def frames(self) -> npt.NDArray[Any]:
        """Frames (F, C, H, W)."""

    @property
    def seconds(self) -> Seconds:
        """Seconds since 1970 (F,); NaN if unknown."""


class WindowedSplit(Split):
    """The clips of one split.

    Args:
        stored: the stored frames.
        windows_NT: rows of frame numbers.
        scaling: maps stored values to model space.
        augment: augmentation, drawn anew each epoch; training only.
    """

    def __init__(
        self, stored: StoredFrames, windows_NT: Windows, scaling: Scaling, augment: Augment = UNCHANGED
    ) -> None:
        self.stored = stored
        self.windows_NT = windows_NT
        self.augment = augment
        self.scaling = scaling
        self._offset = np.array(scaling.offset, dtype=np.float32)[:, None, None]
        self._scale = np.array(scaling.scale, dtype=np.float32)[:, None, None]

    def __len__(self) -> int:
        return len(self.windows_NT)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Return clips (B, T, C, H, W), float32 in model space. ``epoch`` changes augmented clips only."""
        clips = self.stored.frames[self.windows_NT[indices]].astype(np.float32)
        if self._offset.any():
            clips -= self._offset
        clips /= self._scale
        return self.augment(torch.from_numpy(clips), indices, epoch)

    def frames(self, indices: Indices) -> Indices:
        """Return the numbers of the cached frames, (B, T)."""
        return self.windows_NT[indices]

    def times(self, indices: Indices) -> Indices | None:
        """Return whole seconds since 1970-01-01, (B, T); None if unknown."""
        seconds = self.stored.seconds[self.windows_NT[indices]]
        return None if np.isnan(seconds).any() else np.floor(seconds).astype(np.int64)

    def unaugmented(self) -> WindowedSplit:
        """Return the same windows without augmentation."""
        plain = copy(self)
        plain.augment = UNCHANGED
        return plain


class WindowedSplits(TypedDict):
    """The three splits of one frame store, as :class:`stbench.data.dataset.Splits` takes them."""

    train: WindowedSplit
    val: WindowedSplit
    test: WindowedSplit


def windowed_splits(
    stored: StoredFrames, windows: SplitWindows, scaling: Scaling, augment: Augment = UNCHANGED
) -> WindowedSplits:
    """Return the splits ``train`` (augmented), ``val`` and ``test`` of one frame store."""
    return {
        "train": WindowedSplit(stored, windows.train, scaling, augment),
        "val": WindowedSplit(stored, windows.val, scaling),
        "test": WindowedSplit(stored, windows.test, scaling),
    }
