"""Numbers below the smallest normal one (1.2e-38 in float32), taken as zero while a CPU computes.

Gradients that fade over many steps of a recurrent network pass through this range, where one operation takes a CPU many
times as long. They are too small to move a weight that is not zero itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ELEMENTS_PER_THREAD = 1 << 15
"""torch gives a thread at least so many elements."""


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Take subnormal operands and results as zero in this thread inside the block, where the processor can do so."""
    if _are_zero() or not torch.set_flush_denormal(True):
        yield
        return
    try:
        yield
    finally:  # numpy warns of limits it reads while they are zero
        torch.set_flush_denormal(False)


def workers_take_them_as_zero() -> None:
    """Start torch's threads such that they do so for good; those that have already computed stay as they are."""
    with subnormals_as_zero():
        torch.zeros(_ELEMENTS_PER_THREAD * torch.get_num_threads()).add_(1.0)


def _are_zero() -> bool:
    smallest = sys.float_info.min
    return smallest * 0.5 == 0.0
