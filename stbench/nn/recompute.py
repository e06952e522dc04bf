"""Activations that are cheaper to compute twice than to keep.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Output = TypeVar("Output")


def recompute(function: Callable[..., Output], *inputs: Any, draws: bool = False) -> Output:
    """``function(*inputs)``, keeping only the inputs for its backward pass, which runs the function again.

    It stops as soon as everything is there that the backward pass needs, so a convolution at the end of ``function``
    is not computed twice. The function must not change anything outside itself, such as running statistics.

    Args:
        draws: whether the function draws random numbers, which must then be the same again.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)
