"""What keeps the memory of a training step small: activations computed twice, frames computed in groups.

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
GROUP = 1 << 21
"""Values of the largest tensor of a group of frames: enough work for every thread, little to hold at a time."""


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


def in_groups(function: Callable[..., Tensor], *frames: Tensor) -> Tensor:
    """``function(*frames)`` of tensors (N, …) whose N frames do not depend on each other, a group of frames at a time.

    A backward pass then needs its temporary tensors for one group only. On a CPU this takes no longer; elsewhere, and
    where the whole is compiled, all frames go together.
    """
    size = max(1, GROUP * len(frames[0]) // max(frame.numel() for frame in frames))
    together = frames[0].device.type != "cpu" or torch.compiler.is_compiling()
    if together or size >= len(frames[0]):
        return function(*frames)
    return torch.cat([function(*group) for group in zip(*(frame.split(size) for frame in frames), strict=True)])  # type: ignore[no-untyped-call]
