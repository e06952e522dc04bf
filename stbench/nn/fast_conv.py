"""Toom–Cook convolutions F(m×m, k×k), which need fewer multiplications than the direct one; float32 on a CPU.

A tile of m×m outputs needs (m+k−1)² products per pair of channels instead of m²k²: a quarter for F(4×4, 3×3), a sixth
for F(4×4, 5×5). The products are batched matrix products; the rounding error is a few times the direct convolution's.
Axes: B, C, H, W; P tiles of a batch, K = (m+k−1)² products of a tile.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from stbench.nn.toom_cook import transforms

_TRANSFORMED: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Weight -> {has a graph: (tile, version, transformed weight)}, computed once for all steps of a rollout."""


def fast_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, tile: int, *, transposed: bool = False) -> Tensor:
    """Compute a "same" convolution of stride 1 with zero padding, by F(tile×tile, k×k).

    The transformed weight is cached until the weight's gradient is computed or its values change. Only first
    derivatives exist: a second one raises RuntimeError.

    Args:
        x: (B, C_in, H, W), any size.
        weight: (C_out, C_in, k, k), k odd.
        bias: (C_out,).
        tile: m, with m+k−2 at most 7.
        transposed: the weight is that of a transposed convolution, (C_in, C_out, k, k).

    Returns:
        (B, C_out, H, W), channels last in memory.
    """
    y: Tensor = _Convolve.apply(x, transformed_weight(weight, tile, transposed), tile, weight.shape[-1])
    return y if bias is None else y + bias[:, None, None]


def transformed_weight(weight: Tensor, tile: int, transposed: bool = False) -> Tensor:
    """Return the weight in the transform domain, (K, C_in, C_out), from the cache if it is still valid."""
    if weight.is_inference():  # has no version to check the cache by
        return _transform_weight(weight, tile, transposed)
    with_graph = torch.is_grad_enabled() and weight.requires_grad
    entries: dict[bool, tuple[int, int, Tensor]] = _TRANSFORMED.setdefault(weight, {})  # type: ignore[no-untyped-call]
    before = entries.get(with_graph)
    if before is not None and before[:2] == (tile, weight._version):
        return before[2]
    entries.clear()
    # identity hooks: a surrounding activation checkpoint must not count these tensors, since its recomputation finds
    # the weight in the cache and saves none
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
        made = _transform_weight(weight, tile, transposed)
    if with_graph:
        made.register_hook(lambda _: entries.clear())  # type: ignore[no-untyped-call]
    entries[with_graph] = (tile, weight._version, made)
    return made


def _transform_weight(weight: Tensor, tile: int, transposed: bool) -> Tensor:
    weight = weight.transpose(0, 1).flip(2, 3) if transposed else weight
    c_out, c_in, kernel, _ = weight.shape
    products = _on_tiles("weight", tile, kernel, weight.dtype) @ weight.permute(2, 3, 1, 0).reshape(kernel**2, -1)
    return products.reshape(-1, c_in, c_out)


@cache
def _on_tiles(part: str, tile: int, kernel: int, dtype: torch.dtype) -> Tensor:
    """Return one of the three transforms for both axes at once, as a matrix on flattened tiles."""
    matrix: Tensor = getattr(transforms(tile, kernel), part)
    return torch.kron(matrix, matrix).to(dtype)


class _Convolve(torch.autograd.Function):
    """Convolution with a transformed weight; the backward pass transforms the input again instead of storing it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_KIO: Tensor, tile: int, kernel: int) -> Tensor:
        ctx.save_for_backward(x, weight_KIO)
        ctx.sizes = tile, kernel
        grid = _Grid(x, tile, kernel)
        return grid.joined(_on_tiles("output", tile, kernel, x.dtype), grid.transformed(x) @ weight_KIO)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,), (x, weight_KIO) = gradients, ctx.saved_tensors
        tile, kernel = ctx.sizes
        grid = _Grid(x, tile, kernel)
        gradient_KPO = grid.split(_on_tiles("output", tile, kernel, x.dtype), gradient)
        grad_weight = grid.transformed(x).transpose(1, 2) @ gradient_KPO if ctx.needs_input_grad[1] else None
        grad_x = grid.gathered(gradient_KPO @ weight_KIO.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return grad_x, grad_weight, None, None


class _Grid:
    """Layout of a batch of frames as overlapping input tiles and adjacent output tiles."""

    def __init__(self, x: Tensor, tile: int, kernel: int) -> None:
        self.batch, _, self.height, self.width = x.shape
        self.tile, self.kernel = tile, kernel
        self.side = tile + kernel - 1
        self.rows, self.columns = -(-self.height // tile), -(-self.width // tile)

    def transformed(self, x: Tensor) -> Tensor:
        """Map frames (B, C, H, W) to transformed input tiles (K, P, C)."""
        reach = self.kernel // 2
        height, width = self.rows * self.tile + 2 * reach, self.columns * self.tile + 2 * reach
        padding = (0, 0, reach, width - reach - self.width, reach, height - reach - self.height)
        padded_BHWC = F.pad(x.permute(0, 2, 3, 1), padding)
        tiles = padded_BHWC.unfold(1, self.side, self.tile).unfold(2, self.side, self.tile)  # B, rows, columns, C, n, n
        flat = tiles.permute(4, 5, 0, 1, 2, 3).reshape(self.side**2, -1)
        products = _on_tiles("input", self.tile, self.kernel, x.dtype) @ flat
        return products.reshape(self.side**2, -1, x.shape[1])

    def gathered(self, tiles_KPC: Tensor) -> Tensor:
        """Map gradients of transformed tiles to those of frames (B, C, H, W): the transpose of :meth:`transformed`."""
        flat = tiles_KPC.reshape(self.side**2, -1)
        pixels = _on_tiles("input", self.tile, self.kernel, flat.dtype).T @ flat
        channels, m, n = tiles_KPC.shape[2], self.tile, self.side
        tiles = pixels.reshape(n, n, self.batch, self.rows, self.columns, channels).permute(2, 3, 0, 4, 1, 5)
        steps = range(0, n, m)
        whole = pixels.new_zeros(self.batch, self.rows + len(steps) - 1, m, self.columns + len(steps) - 1, m, channels)
        for down, top in enumerate(steps):
            for right, left in enumerate(steps):
                part = tiles[:, :, top : top + m, :, left : left + m]
                target = whole[:, down : down + self.rows, : part.shape[2], right : right + self.columns]
                target[:, :, :, :, : part.shape[4]] += part
        frames = whole.reshape(self.batch, whole.shape[1] * m, whole.shape[3] * m, channels)
        reach = self.kernel // 2
        return frames[:, reach : reach + self.height, reach : reach + self.width].permute(0, 3, 1, 2)

    def joined(self, matrix: Tensor, products_KPO: Tensor) -> Tensor:
        """Map products of tiles to outputs (B, C_out, H, W)."""
        m, channels = self.tile, products_KPO.shape[2]
        tiles = (matrix @ products_KPO.reshape(self.side**2, -1)).reshape(
            m, m, self.batch, self.rows, self.columns, channels
        )
        frames = tiles.permute(2, 3, 0, 4, 1, 5).reshape(self.batch, self.rows * m, self.columns * m, channels)
        return frames[:, : self.height, : self.width].permute(0, 3, 1, 2)

    def split(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        """Map gradients of outputs to those of products (K, P, C_out): the transpose of :meth:`joined`."""
        m, channels = self.tile, gradient.shape[1]
        padding = (0, 0, 0, self.columns * m - self.width, 0, self.rows * m - self.height)
        padded_BHWC = F.pad(gradient.permute(0, 2, 3, 1), padding)
        tiles = padded_BHWC.reshape(self.batch, self.rows, m, self.columns, m, channels).permute(2, 4, 0, 1, 3, 5)
        return (matrix.T @ tiles.reshape(m * m, -1)).reshape(self.side**2, -1, channels)
