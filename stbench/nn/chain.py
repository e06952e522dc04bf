"""Conv-activation chains that store one tensor per block for the backward pass.

Without recomputation a block stores the conv's output and the activation's output. Here each segment starts at one
conv's output and ends with the next conv, so only conv outputs are stored; activations are recomputed, and no conv is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol, cast

from torch import Tensor, nn

from stbench.nn.recompute import recompute


class ConvActivation(Protocol):
    """A block that applies its convolution and its activation in separate calls."""

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the convolution."""
        ...

    def activate(self, features: Tensor) -> Tensor:
        """Normalise and activate the output of :meth:`convolve`, same shape; must not have side effects."""
        ...


def run_chain(blocks: Sequence[ConvActivation], x: Tensor) -> Tensor:
    """Apply the blocks in sequence."""
    return recompute(blocks[-1].activate, convolve_chain(blocks, x))


def convolve_chain(blocks: Sequence[ConvActivation], x: Tensor) -> Tensor:
    """Apply the blocks in sequence, except for the activation of the last one."""
    x = blocks[0].convolve(x)
    for before, block in pairwise(blocks):
        x = recompute(partial(_follow, before, block), x)
    return x


class ConvChain(nn.Sequential):
    """A sequence of :class:`ConvActivation` blocks as one module, run by :func:`run_chain`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the blocks in sequence."""
        return run_chain(cast("list[ConvActivation]", list(self)), x)


def _follow(before: ConvActivation, block: ConvActivation, features: Tensor) -> Tensor:
    return block.convolve(before.activate(features))
