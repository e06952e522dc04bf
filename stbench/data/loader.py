"""Deterministic batches: the clips of a global batch depend on (seed, epoch) alone.

The number of workers, the number of processes and a resume in the middle of an epoch do not change them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from stbench.data.dataset import Indices, Split
from stbench.errors import UserError

Key = tuple[Indices, int]


def evenly_spaced(n: int, limit: int | None) -> Indices:
    """Return at most ``limit`` of the numbers 0 … n-1, evenly spaced from 0; all of them if ``limit`` is None.

    >>> evenly_spaced(10, 4).tolist()
    [0, 2, 5, 7]
    """
    kept = n if limit is None else min(n, limit)
    return np.arange(kept, dtype=np.int64) * n // max(kept, 1)


class ClipLoader:
    """Batches of a split for one process.

    Args:
        split: where clips come from.
        batch_size: clips of a *global* batch; each process takes its contiguous share.
        shuffle: True draws a new order every epoch (training). False keeps the split's order.
        seed: seed of the order, together with the epoch.
        limit: most clips per epoch: a subset drawn anew each epoch if shuffled, otherwise evenly spaced clips.
        drop_last: True leaves out an incomplete last batch, unless it is the only one.
        rank: number of this process.
        world_size: number of processes. Shuffled batches give every process the same number of clips; an incomplete
            last batch is shortened for that. Other batches give every clip to exactly one process, and a process
            with an empty share of the last batch skips it.
        parts: forward passes per batch. If the sizes divide, a process gets its share of each pass, so that all
            processes together compute on the same clips as one process.
        workers: processes that prepare batches; they live as long as the loader and serve one epoch at a time.
        pin_memory: True makes page-locked batches, for asynchronous copies to a GPU.

    Raises:
        UserError: the global batch does not divide among the processes, or there are fewer clips than processes.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        limit: int | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        parts: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self._split = split
        self._clips = len(split)
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self._limit = limit
        self._drop_last = drop_last
        self._rank = rank
        self._world_size = world_size
        self._parts = parts
        self._check()
        self._sampler = _Keys()
        self._loader = DataLoader(
            _Batches(split),
            batch_size=None,
            sampler=self._sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            # an own generator: drawing the workers' base seed must not advance torch's global generator, which a
            # resumed run restores
            generator=torch.Generator(),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of this process in an epoch."""
        return len(self.batches(0))

    def batches(self, epoch: int) -> list[Indices]:
        """Return the clip numbers of this process's batches in one epoch."""
        order = self._order(epoch)
        size = self._batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        if self._drop_last and len(batches) > 1 and len(batches[-1]) < size:
            batches.pop()
        return [share for batch in batches if len(share := self._share(batch))]

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Tensor]:
        """Yield clips (B, T, C, H, W) of one epoch's batches, from batch ``start_step`` on."""
        self._sampler.keys = [(batch, epoch) for batch in self.batches(epoch)[start_step:]]
        yield from self._loader

    def dated_epoch(self, epoch: int) -> Iterator[tuple[Indices, Tensor, Tensor | None]]:
        """Yield clip numbers (B,), clips (B, T, C, H, W) and times (B, T), int64 seconds; None if times are unknown."""
        for indices, clips in zip(self.batches(epoch), self.epoch(epoch), strict=True):
            seconds = self._split.times(indices)
            yield indices, clips, None if seconds is None else torch.from_numpy(seconds.astype(np.int64, copy=False))

    def _check(self) -> None:
        if self._shuffle and self._batch_size % self._world_size:
            raise UserError(
                f"A global batch of {self._batch_size} clips does not divide among {self._world_size} processes. "
                "Choose a batch size that is a multiple of their number."
            )
        if self._shuffle and len(self._order(0)) < self._world_size:
            raise UserError(f"{len(self._order(0))} training clips are too few for {self._world_size} processes.")

    def _order(self, epoch: int) -> Indices:
        if not self._shuffle:
            return evenly_spaced(self._clips, self._limit)
        permutation = np.random.default_rng((self._seed, epoch)).permutation(self._clips)
        return permutation[: self._limit].astype(np.int64)

    def _share(self, batch: Indices) -> Indices:
        if self._shuffle:
            batch = batch[: len(batch) // self._world_size * self._world_size]
            if len(batch) % (self._parts * self._world_size) == 0:
                return batch.reshape(self._parts, self._world_size, -1)[:, self._rank].reshape(-1)
        return np.array_split(batch, self._world_size)[self._rank]


class _Batches(TorchDataset[Tensor]):
    """Adapter for torch's loader: the key of a batch gives its clips."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __getitem__(self, key: Key) -> Tensor:
        indices, epoch = key
        return self._split.clips(indices, epoch)


class _Keys(Sampler[Key]):
    """Keys of an epoch's remaining batches; stays in the main process."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)
