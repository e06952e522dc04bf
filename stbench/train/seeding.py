"""Seeds derived from their purpose, so that no generator state must be saved."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: object) -> int:
    """Derive a 63-bit seed for one purpose of a run, independent of all other purposes.

    >>> derive(0, "weights") == derive(0, "weights")
    True
    >>> derive(0, "step", 1) == derive(0, "step", 2)
    False
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of a training step; also seed torch's default generators, which dropout uses.

    Every process of a run gets the same one: what is drawn per sample is drawn for the global batch.
    """
    torch.manual_seed(derive(seed, "dropout", step, 0))  # 0 keeps the draws of a single process as they were
    return torch.Generator().manual_seed(derive(seed, "sampling", step, 0))
