"""Seeds as functions of what they are for, so that no generator's state has to be saved."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose of a run, independent of every other purpose's.

    >>> derive(0, "weights") == derive(0, "weights")
    True
    >>> derive(0, "step", 1) == derive(0, "step", 2)
    False
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The generator of one training step (CPU); also seeds torch's default ones, which dropout draws from."""
    torch.manual_seed(derive(seed, "dropout", step, rank))
    return torch.Generator().manual_seed(derive(seed, "sampling", step, rank))
