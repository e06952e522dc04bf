"""Blocks of a convolution and its activation in a row, of which training keeps one tensor each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol, cast

from torch import Tensor, nn

from stbench.nn.recompute import recompute


class ConvActivation(Protocol):
    """A block in two parts."""

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution."""
        ...

    def activate(self, features: Tensor) -> Tensor:
        """Normalisation and activation of what :meth:`convolve` gave, same shape; changes nothing outside."""
        ...


def run_chain(blocks: Sequence[ConvActivation], x: Tensor) -> Tensor:
    """One block after the other."""
    return recompute(blocks[-1].activate, convolve_chain(blocks, x))


def convolve_chain(blocks: Sequence[ConvActivation], x: Tensor) -> Tensor:
    """As :func:`run_chain`, but the last block's activation is left to the caller."""
    x = blocks[0].convolve(x)
    for before, block in pairwise(blocks):
        x = recompute(partial(_follow, before, block), x)
    return x


class ConvChain(nn.Sequential):
    """Blocks in a row as one module; each is a :class:`ConvActivation`."""

    def forward(self, x: Tensor) -> Tensor:
        """What :func:`run_chain` makes of ``x``."""
        return run_chain(cast("list[ConvActivation]", list(self)), x)


def _follow(before: ConvActivation, block: ConvActivation, features: Tensor) -> Tensor:
    return block.convolve(before.activate(features))
