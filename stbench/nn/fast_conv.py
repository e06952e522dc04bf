"""Toom–Cook convolutions F(m×m, k×k), which need fewer multiplications than the direct one; float32 on a CPU.

A tile of m×m outputs needs (m+k−1)² products per pair of channels instead of m²k²: a quarter for F(4×4, 3×3), a sixth
for F(4×4, 5×5). The products are batched matrix products; the rounding error is a few times the direct convolution's.
Axes: B, C, H, W; P tiles of a batch, K = (m+k−1)² products of a tile.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from stbench.nn.toom_cook import transforms

_TRANSFORMED: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Weight -> :class:`_Transformed`, computed once for all steps of a rollout and their backward passes."""


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
    y: Tensor
    (y,) = _Convolve.apply(_Plan(tile, (Block(0, 0, (0, None), 0),), transposed), x, weight)
    return y if bias is None else y + bias[:, None, None]


class Block(NamedTuple):
    """A part of a sum of convolutions: output ``y`` gets input ``x`` convolved with ``rows`` of ``weight``.

    ``x``, ``weight`` and ``y`` count the arguments and outputs of :func:`fast_conv2d_blocks`; ``rows`` is the range of
    output channels.
    """

    x: int
    weight: int
    rows: tuple[int, int | None]
    y: int


def fast_conv2d_blocks(
    blocks: Sequence[Block], xs: Sequence[Tensor], weights: Sequence[Tensor], tile: int
) -> tuple[Tensor, ...]:
    """Compute sums of convolutions without bias; every input and every sum is transformed once.

    Args:
        blocks: in the order of their weights and rows; together they use every row of every weight once.
        xs: (B, C_i, H, W).
        weights: (C_j, C_i, k, k).
        tile: as in :func:`fast_conv2d`.

    Returns:
        The outputs in the order of their numbers.
    """
    y: tuple[Tensor, ...] = _Convolve.apply(_Plan(tile, tuple(blocks), False), *xs, *weights)
    return y


class _Transformed(NamedTuple):
    tile: int
    version: int
    weight: Tensor
    hook: RemovableHandle | None


def transformed_weight(weight: Tensor, tile: int, transposed: bool = False) -> Tensor:
    """Return the weight in the transform domain, (K, C_in, C_out), from the cache if it is still valid."""
    if weight.is_inference():  # has no version to check the cache by
        return _transform_weight(weight, tile, transposed)
    before: _Transformed | None = _TRANSFORMED.get(weight)  # type: ignore[no-untyped-call]
    if before is not None:
        if (before.tile, before.version) == (tile, weight._version):
            return before.weight
        _forget(weight)
    made = _transform_weight(weight.detach(), tile, transposed)
    # fused optimisers change values without a new version, but only after a gradient
    itself = weakref.ref(weight)  # the hook belongs to the weight: a strong reference would be a cycle
    hook = weight.register_hook(lambda _: _forget(itself())) if weight.requires_grad else None  # type: ignore[no-untyped-call]
    _TRANSFORMED[weight] = _Transformed(tile, weight._version, made, hook)
    return made


def _forget(weight: Tensor | None) -> None:
    known: _Transformed | None = None if weight is None else _TRANSFORMED.pop(weight, None)  # type: ignore[no-untyped-call]
    if known is not None and known.hook is not None:
        known.hook.remove()


def _transform_weight(weight: Tensor, tile: int, transposed: bool) -> Tensor:
    weight = weight.transpose(0, 1).flip(2, 3) if transposed else weight
    c_out, c_in, kernel, _ = weight.shape
    products = _on_tiles("weight", tile, kernel, weight.dtype) @ weight.permute(2, 3, 1, 0).reshape(kernel**2, -1)
    return products.reshape(-1, c_in, c_out)


def _weight_gradient(gradient_KIO: Tensor, tile: int, kernel: int, transposed: bool) -> Tensor:
    """Map the gradient of a transformed weight to that of the weight: the transpose of :func:`_transform_weight`."""
    matrix = _on_tiles("weight", tile, kernel, gradient_KIO.dtype)
    taps = (matrix.T @ gradient_KIO.flatten(1)).reshape(kernel, kernel, *gradient_KIO.shape[1:])
    gradient = taps.permute(3, 2, 0, 1)
    return gradient.flip(2, 3).transpose(0, 1) if transposed else gradient


@cache
def _on_tiles(part: str, tile: int, kernel: int, dtype: torch.dtype) -> Tensor:
    """Return one of the three transforms for both axes at once, as a matrix on flattened tiles."""
    matrix: Tensor = getattr(transforms(tile, kernel), part)
    return torch.kron(matrix, matrix).to(dtype)


class _Plan(NamedTuple):
    tile: int
    blocks: tuple[Block, ...]
    transposed: bool

    def halves(self, tensors: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Divide what belongs to the inputs from what belongs to the weights."""
        inputs = 1 + max(block.x for block in self.blocks)
        return tensors[:inputs], tensors[inputs:]

    def of_output(self, number: int) -> list[Block]:
        """Return the blocks that add to an output; none beyond the last one."""
        return [block for block in self.blocks if block.y == number]


class _Convolve(torch.autograd.Function):
    """Sums of convolutions; the backward pass transforms the inputs again instead of storing them."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*tensors)
        ctx.plan = plan
        xs, weights = plan.halves(tensors)
        grid = _Grid(xs[0], plan.tile, weights[0].shape[-1])
        inputs = [grid.transformed(x, number) for number, x in enumerate(xs)]
        weights_KIO = [transformed_weight(weight, plan.tile, plan.transposed) for weight in weights]
        outputs: list[Tensor] = []
        while blocks := plan.of_output(len(outputs)):
            products = _SumOfProducts("products")
            for block in blocks:
                total = products.add(inputs[block.x], weights_KIO[block.weight][..., slice(*block.rows)])
            outputs.append(grid.joined(total))
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        xs, weights = plan.halves(ctx.saved_tensors)
        x_needed, weight_needed = plan.halves(ctx.needs_input_grad[1:])
        kernel = weights[0].shape[-1]
        grid = _Grid(xs[0], plan.tile, kernel)
        inputs = {number: grid.transformed(x, number) for number, x in enumerate(xs) if any(weight_needed)}
        of_inputs = [_SumOfProducts(("gradient", number)) for number in range(len(xs))]
        of_weights: dict[Block, Tensor] = {}
        for number, gradient in enumerate(gradients):
            gradient_KPO = grid.split(gradient)
            for block in plan.of_output(number):
                if weight_needed[block.weight]:
                    gradient_KIO = _SumOfProducts("weight").add(inputs[block.x].transpose(1, 2), gradient_KPO)
                    of_weights[block] = _weight_gradient(gradient_KIO, plan.tile, kernel, plan.transposed)
                if x_needed[block.x]:
                    weight_KIO = transformed_weight(weights[block.weight], plan.tile, plan.transposed)
                    of_inputs[block.x].add(gradient_KPO, weight_KIO[..., slice(*block.rows)].transpose(1, 2))
        parts = [[of_weights[b] for b in plan.blocks if b.weight == number] for number in range(len(weights))]
        return (
            None,
            *(None if of_input.total is None else grid.gathered(of_input.total) for of_input in of_inputs),
            *(_joined_rows(part) if needed else None for part, needed in zip(parts, weight_needed, strict=True)),
        )


class _Scratch(threading.local):
    """Memory for intermediate results, by purpose; it is kept, since large blocks come and go in every call."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[Hashable, torch.dtype], Tensor] = {}

    def take(self, purpose: Hashable, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return memory of a shape; it is overwritten when the same purpose asks again."""
        size = math.prod(shape)
        buffer = self.buffers.get((purpose, dtype))
        if buffer is None or buffer.numel() < size:
            with torch.inference_mode(False):  # a tensor made in inference mode could not be written to outside
                buffer = self.buffers[purpose, dtype] = torch.empty(size, dtype=dtype)
        return buffer[:size].view(shape)


_SCRATCH = _Scratch()


class _SumOfProducts:
    """A sum of batched matrix products in scratch memory; ``total`` is None before the first one."""

    def __init__(self, purpose: Hashable) -> None:
        self.purpose = purpose
        self.total: Tensor | None = None

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Add a·b and return the sum so far."""
        if self.total is None:
            shape = len(a), a.shape[1], b.shape[2]
            self.total = torch.bmm(a, b, out=_SCRATCH.take(self.purpose, a.dtype, *shape))
        else:
            self.total.baddbmm_(a, b)
        return self.total


def _joined_rows(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Grid:
    """Layout of a batch of frames as overlapping input tiles and adjacent output tiles."""

    def __init__(self, x: Tensor, tile: int, kernel: int) -> None:
        self.batch, _, self.height, self.width = x.shape
        self.tile, self.kernel = tile, kernel
        self.side = tile + kernel - 1
        self.rows, self.columns = -(-self.height // tile), -(-self.width // tile)

    def transformed(self, x: Tensor, number: int) -> Tensor:
        """Map frames (B, C, H, W) to transformed input tiles (K, P, C) in the scratch memory of input ``number``."""
        reach = self.kernel // 2
        height, width = self.rows * self.tile + 2 * reach, self.columns * self.tile + 2 * reach
        padding = (0, 0, reach, width - reach - self.width, reach, height - reach - self.height)
        padded_BHWC = F.pad(x.permute(0, 2, 3, 1), padding)
        tiles = padded_BHWC.unfold(1, self.side, self.tile).unfold(2, self.side, self.tile)  # B, rows, columns, C, n, n
        made = self._through("input", tiles.permute(4, 5, 0, 1, 2, 3), ("input", number))
        return made.view(self.side**2, -1, x.shape[1])

    def gathered(self, tiles_KPC: Tensor) -> Tensor:
        """Map gradients of transformed tiles to those of frames (B, C, H, W): the transpose of :meth:`transformed`."""
        channels, m, n = tiles_KPC.shape[2], self.tile, self.side
        flat = tiles_KPC.view(n * n, -1)
        pixels = torch.mm(
            _on_tiles("input", m, self.kernel, flat.dtype).T, flat, out=_SCRATCH.take("tiles", flat.dtype, *flat.shape)
        )
        tiles = pixels.view(n, n, self.batch, self.rows, self.columns, channels).permute(2, 3, 0, 4, 1, 5)
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

    def joined(self, products_KPO: Tensor) -> Tensor:
        """Map products of tiles to outputs (B, C_out, H, W)."""
        m, channels = self.tile, products_KPO.shape[2]
        flat = products_KPO.view(self.side**2, -1)
        matrix = _on_tiles("output", m, self.kernel, flat.dtype)
        joined = torch.mm(matrix, flat, out=_SCRATCH.take("tiles", flat.dtype, m * m, flat.shape[1]))
        tiles = joined.view(m, m, self.batch, self.rows, self.columns, channels).permute(2, 3, 0, 4, 1, 5)
        frames = tiles.new_empty(self.batch, self.rows * m, self.columns * m, channels)
        frames.view(tiles.shape).copy_(tiles)  # a reshape might return a view of the scratch memory
        return frames[:, : self.height, : self.width].permute(0, 3, 1, 2)

    def split(self, gradient: Tensor) -> Tensor:
        """Map gradients of outputs to those of products (K, P, C_out): the transpose of :meth:`joined`."""
        m, channels = self.tile, gradient.shape[1]
        padding = (0, 0, 0, self.columns * m - self.width, 0, self.rows * m - self.height)
        padded_BHWC = F.pad(gradient.permute(0, 2, 3, 1), padding)
        tiles = padded_BHWC.reshape(self.batch, self.rows, m, self.columns, m, channels).permute(2, 4, 0, 1, 3, 5)
        return self._through("output", tiles, "products", transposed=True).view(self.side**2, -1, channels)

    def _through(self, part: str, tiles: Tensor, purpose: Hashable, transposed: bool = False) -> Tensor:
        """Multiply tiles (a, b, …) by a transform over a·b: (a·b, rest) -> (rows of the matrix, rest), in scratch."""
        flat = _SCRATCH.take("tiles", tiles.dtype, tiles.shape[0] * tiles.shape[1], math.prod(tiles.shape[2:]))
        flat.view(tiles.shape).copy_(tiles)
        matrix = _on_tiles(part, self.tile, self.kernel, tiles.dtype)
        matrix = matrix.T if transposed else matrix
        return torch.mm(matrix, flat, out=_SCRATCH.take(purpose, tiles.dtype, len(matrix), flat.shape[1]))
