"""Test clips in one npy file, (T, N, H, W) uint8, as Moving MNIST has them.

Axes: B batch, T time, C = 1, N clips, H height, W width.
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


class SequenceFile(Split):
    """The clips of one file, memory-mapped; the first T_in+T_out frames of each.

    Raises:
        UserError: the file is damaged, or no array (T, N, H, W) of bytes.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._file = MappedArray(path)
        self._length = length
        array = self._file.array
        if array.ndim != 4 or array.dtype != np.uint8 or 0 in array.shape:
            raise UserError(f"{path} holds {array.dtype} of shape {array.shape}, expected uint8 (T, N, H, W).")

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def fits(self, shape: ClipShape) -> bool:
        """Tell whether the clips are long enough and of the canvas asked for."""
        length, _, *canvas = self._file.array.shape
        return shape.length <= length and canvas == [shape.height, shape.width] and shape.channels == 1

    def __len__(self) -> int:
        return int(self._file.array.shape[1])

    def clips(self, indices: Indices, epoch: int) -> Tensor:  # noqa: ARG002 - clips of a file have no epochs
        """Return clips (B, T, 1, H, W) in [0, 1], steps of 1/255."""
        frames = self._file.array[: self._length, indices].swapaxes(0, 1)[:, :, None].astype(np.float32)
        frames /= 255
        return torch.from_numpy(frames)
