"""Less memory per training step: recomputation in the backward pass, and frames processed in groups.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Output = TypeVar("Output")
WORTHWHILE = 1 << 22
"""Minimum tensor size (elements) worth recomputing; with smaller ones PhyDNet's training took a tenth longer."""
GROUP = 1 << 21
"""Size (elements) of the largest tensor of a group of frames: enough work for all threads, little memory."""


def recompute(function: Callable[..., Output], *inputs: Any, draws: bool = False, least: int = WORTHWHILE) -> Output:
    """Return ``function(*inputs)`` and store only the inputs; the backward pass calls the function again.

    The second call stops once it has computed all tensors that the backward pass needs. A convolution at the end of
    ``function`` needs only its input, so it is not computed twice: cut functions so that they end with a convolution.
    The function must not have side effects, such as updates of running statistics, which would happen twice.

    Args:
        draws: whether the function draws random numbers; the generator's state is then restored for the second call.
        least: without an input of at least this many elements, nothing is recomputed.
    """
    largest = max((value.numel() for value in inputs if isinstance(value, Tensor)), default=0)
    if not torch.is_grad_enabled() or largest < least:
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)


def in_groups(function: Callable[..., Tensor], *frames: Tensor) -> Tensor:
    """Return ``function(*frames)``, computed for groups of the N independent frames of tensors (N, …).

    The backward pass then needs temporary tensors for one group only, at no cost in time on a CPU. On other devices,
    and in compiled code, all frames are processed together.
    """
    size = max(1, GROUP * len(frames[0]) // max(frame.numel() for frame in frames))
    together = frames[0].device.type != "cpu" or torch.compiler.is_compiling()
    if together or size >= len(frames[0]):
        return function(*frames)
    return torch.cat([function(*group) for group in zip(*(frame.split(size) for frame in frames), strict=True)])  # type: ignore[no-untyped-call]
