"""Which algorithm a convolution takes: the direct one or a Toom–Cook one, timed at the first use of each shape."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn.fast_conv import fast_conv2d

DIRECT = "direct"
TILES = {"F(4x4)": 4, "F(2x2)": 2}
"""Algorithm -> outputs of a tile on each axis."""
KERNELS = (3, 5)
WORTHWHILE = 0.95
"""Share of the direct convolution's time that a faster one may take at most: near ties stay direct."""
REPEATS = 2


class ConvChoices:
    """Algorithms by shape of convolution, for one training.

    A shape is timed once, at its first use with gradients, and keeps its algorithm: with the same ``found`` a run
    computes the same bits again.

    Args:
        found: shape -> algorithm; what is timed is added to it.
    """

    def __init__(self, found: dict[str, str]) -> None:
        self.found = found

    def tile(self, conv: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> int | None:
        """Outputs of a tile on each axis for ``conv`` on ``x`` (B, C_in, H, W); None for the direct convolution."""
        if not _is_eligible(x):
            return None
        kernel = conv.kernel_size[0]
        shape = f"{kernel}x{kernel} {conv.in_channels}->{conv.out_channels} {x.shape[2]}x{x.shape[3]}"
        if shape not in self.found:
            if not torch.is_grad_enabled():  # training decides: a validation before it must not
                return None
            self.found[shape] = _fastest(x, conv.out_channels, kernel)
        return TILES.get(self.found[shape])


class ChosenConv2d(nn.Conv2d):
    """A convolution that asks :class:`ConvChoices`; parameters and state dict are nn.Conv2d's."""

    choices: ConvChoices

    def forward(self, input: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        tile = self.choices.tile(self, input)
        return super().forward(input) if tile is None else fast_conv2d(input, self.weight, self.bias, tile)


class ChosenConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of stride 1, which is a convolution by the flipped weight."""

    choices: ConvChoices

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        tile = self.choices.tile(self, input)
        if tile is None:
            return super().forward(input, output_size)
        return fast_conv2d(input, self.weight, self.bias, tile, transposed=True)


def choose_convolutions(method: nn.Module, found: dict[str, str]) -> None:
    """Let every dense k×k "same" convolution of stride 1 (k = 3 or 5) take its fastest algorithm from now on.

    Modules keep their parameters and names. Only float32 on a CPU is affected; autocast, torch.compile and tracers see
    the direct convolution.

    Args:
        found: algorithms that are known already; grows in place.
    """
    choices = ConvChoices(found)
    for module in method.modules():
        if _is_same_conv(module):
            module.__class__ = ChosenConv2d if isinstance(module, nn.Conv2d) else ChosenConvTranspose2d
            module.choices = choices  # type: ignore[assignment]


def _is_same_conv(module: nn.Module) -> TypeGuard[nn.Conv2d | nn.ConvTranspose2d]:
    """Whether it is exactly one of torch's own convolutions with a kernel and strides that have a fast form."""
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


def _is_eligible(x: Tensor) -> bool:
    traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and x.ndim == 4 and not traced


def _fastest(x: Tensor, c_out: int, kernel: int) -> str:
    """The algorithm whose forward and backward pass takes least; leaves no trace in the graph around it."""
    x = x.detach().requires_grad_()
    weight = x.new_full((c_out, x.shape[1], kernel, kernel), 1e-2).requires_grad_()
    # An activation checkpoint around the call would otherwise count what is saved here.
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
    """The best of a few repeats after one that warms up."""
    run()
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)
