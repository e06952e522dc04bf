"""Choice of a convolution's algorithm, direct or Toom–Cook, by timing at the first use of each shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.fast_conv import Block, fast_conv2d, fast_conv2d_blocks

DIRECT = "direct"
TILES = {"F(4x4)": 4, "F(2x2)": 2}
"""Algorithm -> outputs per axis of a tile."""
KERNELS = (3, 5)
WORTHWHILE = 0.95
"""A faster algorithm must take less than this fraction of the direct one's time; near ties stay direct."""
REPEATS = 2


class ConvChoices:
    """Algorithms by shape of convolution, for one training run.

    Each shape is timed once, at its first use with gradients. A run with the same ``found`` is bit-identical.

    Args:
        found: shape -> algorithm; new choices are added to it.
    """

    def __init__(self, found: dict[str, str]) -> None:
        self.found = found

    def tile(self, conv: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> int | None:
        """Return outputs per axis of a tile for ``conv`` on ``x`` (B, C_in, H, W); None for the direct convolution."""
        traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]
        plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if traced or not plain or x.ndim != 4:
            return None
        kernel = conv.kernel_size[0]
        shape = f"{kernel}x{kernel} {conv.in_channels}->{conv.out_channels} {x.shape[2]}x{x.shape[3]}"
        if shape not in self.found:
            if not torch.is_grad_enabled():  # only training may choose; a validation before it uses the direct one
                return None
            self.found[shape] = _fastest(x, conv.out_channels, kernel)
        return TILES.get(self.found[shape])


class ChosenConv2d(nn.Conv2d):
    """A convolution with its algorithm from :class:`ConvChoices`; same parameters and state dict as nn.Conv2d."""

    choices: ConvChoices

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        tile = self.choices.tile(self, input)
        return super().forward(input) if tile is None else fast_conv2d(input, self.weight, self.bias, tile)


class ChosenConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of stride 1, computed as a convolution with the flipped weight."""

    choices: ConvChoices

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        tile = self.choices.tile(self, input)
        if tile is None:
            return super().forward(input, output_size)
        return fast_conv2d(input, self.weight, self.bias, tile, transposed=True)


def convolve_blocks(
    blocks: Sequence[Block], convs: Sequence[nn.Module], xs: Sequence[Tensor]
) -> Sequence[Tensor] | None:
    """Compute sums of convolutions without bias in one pass.

    Args:
        blocks: as for :func:`stbench.nn.fast_conv.fast_conv2d_blocks`.
        convs: one convolution per weight.
        xs: (B, C_i, H, W), one input per convolution.

    Returns:
        The sums; None if a convolution is not a :class:`ChosenConv2d`, or their algorithms are direct or differ.
    """
    tiles = {
        conv.choices.tile(conv, x) if isinstance(conv, ChosenConv2d) and conv.bias is None else None
        for conv, x in zip(convs, xs, strict=True)
    }
    tile = tiles.pop()
    if tiles or tile is None:
        return None
    return fast_conv2d_blocks(blocks, xs, [conv.weight for conv in convs], tile)  # type: ignore[misc]


def choose_convolutions(method: nn.Module, found: dict[str, str]) -> None:
    """Let every dense k×k "same" convolution of stride 1 (k = 3 or 5) use its fastest algorithm from now on.

    Modules keep their parameters and names. Only float32 on a CPU is affected; autocast, torch.compile and tracing use
    the direct convolution.

    Args:
        found: known choices; new ones are added in place.
    """
    choices = ConvChoices(found)
    for module in method.modules():
        if _is_same_conv(module):
            module.__class__ = ChosenConv2d if isinstance(module, nn.Conv2d) else ChosenConvTranspose2d
            module.choices = choices  # type: ignore[assignment]


def _is_same_conv(module: nn.Module) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Return whether a module is exactly one of torch's convolutions, with settings that have a fast form."""
    if type(module) is not nn.Conv2d and type(module) is not nn.ConvTranspose2d:
        return False
    kernel = module.kernel_size[0]
    return (
        kernel in KERNELS
        and module.kernel_size == (kernel, kernel)
        and module.padding == (kernel // 2, kernel // 2)
        and module.stride == module.dilation == (1, 1)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and module.output_padding == (0, 0)
    )


def _fastest(x: Tensor, c_out: int, kernel: int) -> str:
    """Time forward and backward passes and return the fastest algorithm; does not affect the surrounding graph."""
    x = x.detach().requires_grad_()
    weight = x.new_full((c_out, x.shape[1], kernel, kernel), 1e-2).requires_grad_()
    # identity hooks: a surrounding activation checkpoint would otherwise count the tensors saved here
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
        direct = _seconds(lambda: _there_and_back(F.conv2d(x, weight, padding=kernel // 2), x, weight))
        least, best = WORTHWHILE * direct, DIRECT
        for name, tile in TILES.items():
            taken = _seconds(lambda tile=tile: _there_and_back(fast_conv2d(x, weight, None, tile), x, weight))  # type: ignore[misc]
            if taken < least:
                least, best = taken, name
    return best


def _there_and_back(y: Tensor, *inputs: Tensor) -> None:
    torch.autograd.grad(y, inputs, torch.ones_like(y))


def _seconds(run: Callable[[], None]) -> float:
    """Return the shortest of a few repeats after a warm-up."""
    run()
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)
