"""Activations that are cheaper to compute twice than to keep.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Output = TypeVar("Output")
WORTHWHILE = 1 << 16
"""Values of a tensor from which on keeping less is worth the bookkeeping; below, it took PhyDNet a fourth longer."""


def recompute(function: Callable[..., Output], *inputs: Any, draws: bool = False, least: int = WORTHWHILE) -> Output:
    """``function(*inputs)``, keeping only the inputs for its backward pass, which runs the function again.

    It stops as soon as everything is there that the backward pass needs, so a convolution at the end of ``function``
    is not computed twice. The function must not change anything outside itself, such as running statistics.

    Args:
        draws: whether the function draws random numbers, which must then be the same again.
        least: where no input has this many values, everything is kept.
    """
    largest = max((value.numel() for value in inputs if isinstance(value, Tensor)), default=0)
    if not torch.is_grad_enabled() or largest < least:
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)
