"""Test clips in one npy file, (T, N, H, W) or (T, N, H, W, C) with values 0 to 255, as Moving MNIST has them.

Axes: B batch, T time, C channels, N clips, H height, W width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stbench.data.dataset import Indices, Split
from stbench.data.frame_cache.mapped import MappedArray
from stbench.errors import UserError
from stbench.schema import ClipShape

SAMPLE = 64  # number of clips whose values are checked


class SequenceFile(Split):
    """The clips of one file, memory-mapped; the first T_in+T_out frames of each.

    Raises:
        UserError: the file is damaged, or no array (T, N, H, W) or (T, N, H, W, C) of brightness 0 to 255.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._file = MappedArray(path)
        self._length = length
        array = self._file.array
        if array.ndim not in (4, 5) or array.dtype.kind not in "uif" or 0 in array.shape:
            raise UserError(f"{path} holds {array.dtype} of shape {array.shape}, expected uint8 (T, N, H, W[, C]).")
        if array.dtype != np.uint8:  # some releases have floats: the first clips show their scale
            some = np.asarray(array[:, :SAMPLE])
            if not (np.isfinite(some).all() and some.min() >= 0 and 1 < some.max() <= 255):
                raise UserError(f"{path} holds values {some.min():g} to {some.max():g}, expected brightness 0 to 255.")

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._file.path

    def fits(self, shape: ClipShape) -> bool:
        """Return whether the clips are long enough and have the size of the canvas."""
        length, _, height, width, *channels = self._file.array.shape
        return shape.length <= length and (*(channels or [1]), height, width) == shape.frame

    def __len__(self) -> int:
        return int(self._file.array.shape[1])

    def clips(self, indices: Indices, epoch: int) -> Tensor:  # noqa: ARG002 - clips of a file have no epochs
        """Return clips (B, T, C, H, W) in [0, 1], steps of 1/255."""
        frames = self._file.array[: self._length, indices].swapaxes(0, 1).astype(np.float32)
        frames = frames[:, :, None] if frames.ndim == 4 else np.ascontiguousarray(np.moveaxis(frames, -1, 2))
        frames /= 255
        return torch.from_numpy(frames)
