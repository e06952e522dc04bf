"""Prediction of future motion matrices from past ones. Axes: N = B·h·w source positions, T−1, U, q, h, w."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import SLOPE


class ConvNorm(nn.Module):
    """3×3 conv → BatchNorm → LeakyReLU over images, or over clips with ``dims`` 3."""

    def __init__(self, c_in: int, c_out: int, dims: int = 2, stride: int = 1) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv = conv(c_in, c_out, 3, stride=stride, padding=1)
        self.norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, …) to (N, C_out, …)."""
        return F.leaky_relu(self.norm(self.conv(x)), SLOPE)


class MatrixPredictor(nn.Module):
    """U-net that reads each row of the past motion matrices as a clip of images and predicts the next images."""

    def __init__(self, width: int, t_past: int, t_out: int) -> None:
        super().__init__()
        self.t_past, self.t_out, self.width = t_past, t_out, width
        self.enter = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.pre_1 = ConvNorm(width, width)
        self.pre_2 = ConvNorm(width, width)
        self.down_1 = ConvNorm(width, width, stride=2)
        self.past = ConvNorm(width, width, dims=3)
        self.translate = nn.Conv2d(width * t_past, width * t_out, 1)
        self.translate_norm = nn.BatchNorm2d(width * t_out)
        self.down_2 = ConvNorm(width, 2 * width, stride=2)
        wide = 2 * width
        self.future = ConvNorm(wide, wide, dims=3) if t_out > 1 else nn.Conv2d(wide, wide, 3, padding=1)
        self.up_1 = ConvNorm(3 * width, width)
        self.up_2 = ConvNorm(width, width)
        self.leave = nn.Conv2d(width, 1, 3, padding=1, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Map images (N, T−1, h, w) to (N, U, h, w)."""
        count, _, *size = rows.shape
        images = rows.flatten(0, 1)[:, None]
        inner = self.down_1(self.pre_2(self.pre_1(self.enter(images))))
        inner = self.past(inner.unflatten(0, (count, -1)).transpose(1, 2)).transpose(1, 2)
        inner = self.translate_norm(F.leaky_relu(self.translate(inner.flatten(1, 2)), SLOPE))
        inner = inner.unflatten(1, (self.t_out, -1)).flatten(0, 1)
        deepest = self._over_time(self.down_2(inner), count)
        joined = torch.cat([F.interpolate(deepest, inner.shape[2:]), inner], dim=1)
        outer = self.up_2(F.interpolate(self.up_1(joined), size))
        return self.leave(outer).view(count, self.t_out, *size)  # type: ignore[no-any-return]

    def normalised(self, grid: tuple[int, int]) -> int:
        """Return the number of elements that pass a BatchNorm for one clip on a grid (h, w)."""
        half = tuple(-(-side // 2) for side in grid)
        quarter = tuple(-(-side // 2) for side in half)
        past = self.t_past * (2 * prod(grid) + 2 * prod(half))
        future = self.t_out * (prod(half) * 2 + prod(grid) + prod(quarter) * (4 if self.t_out > 1 else 2))
        return prod(grid) * self.width * (past + future)

    def _over_time(self, images: Tensor, count: int) -> Tensor:
        if self.t_out == 1:
            return F.leaky_relu(self.future(images), SLOPE)
        clips = images.view(count, self.t_out, *images.shape[1:]).transpose(1, 2)
        return self.future(clips).transpose(1, 2).flatten(0, 1)  # type: ignore[no-any-return]
