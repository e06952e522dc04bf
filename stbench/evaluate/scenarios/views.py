"""Splits that show another one differently: some of its clips, some of a clip's frames, longer clips.

Axes: B batch, T time, N clips, L frames of a longer clip, C, H, W.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stbench.data import Indices, Split, open_dataset
from stbench.errors import UserError
from stbench.evaluate.scenarios.scenario import Finished

Change = Callable[[Tensor, Indices], Tensor]
_COMPARED = 4


class View(Split):
    """The clips ``chosen`` (N,) of a split, of each the frames ``positions`` (T,), changed by ``change``."""

    def __init__(
        self, base: Split, chosen: Indices, positions: Indices | None = None, change: Change | None = None
    ) -> None:
        self.base, self.chosen, self.positions, self.change = base, chosen, positions, change

    def __len__(self) -> int:
        return len(self.chosen)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Return the clips (B, T, C, H, W)."""
        clips = self.base.clips(self.chosen[indices], epoch)
        if self.positions is not None:
            clips = clips[:, torch.from_numpy(self.positions)]
        return clips if self.change is None else self.change(clips, self.chosen[indices])

    def frames(self, indices: Indices) -> Indices | None:
        """Return which recorded frames the clips are made of, (B, T)."""
        return self._picked(self.base.frames(self.chosen[indices]))

    def times(self, indices: Indices) -> Indices | None:
        """Return when the frames were taken, (B, T)."""
        return self._picked(self.base.times(self.chosen[indices]))

    def _picked(self, found: Indices | None) -> Indices | None:
        return found if found is None or self.positions is None else found[:, self.positions]


class Longer(Split):
    """Clips that go on past their end with the frames of later clips of the same split.

    Args:
        base: a split whose clips share recorded frames.
        frames_NL: the recorded frames of each longer clip; every one is in some clip of ``base``.
    """

    def __init__(self, base: Split, frames_NL: Indices) -> None:
        self.base, self.frames_NL = base, frames_NL
        every = base.frames(np.arange(len(base), dtype=np.int64))
        assert every is not None
        self._length = every.shape[1]
        self._known, self._place = np.unique(every, return_index=True)

    def __len__(self) -> int:
        return len(self.frames_NL)

    def clips(self, indices: Indices, epoch: int) -> Tensor:
        """Return clips (B, L, C, H, W)."""
        owner_BL, position_BL = self._owners(indices)
        owners, place = np.unique(owner_BL, return_inverse=True)
        found = self.base.clips(owners, epoch)
        return found[torch.from_numpy(place.reshape(owner_BL.shape)), torch.from_numpy(position_BL)]

    def frames(self, indices: Indices) -> Indices:
        """Return the recorded frames, (B, L)."""
        return self.frames_NL[indices]

    def times(self, indices: Indices) -> Indices | None:
        """Return when they were taken, (B, L)."""
        owner_BL, position_BL = self._owners(indices)
        seconds = self.base.times(owner_BL.ravel())
        return (
            None if seconds is None else seconds[np.arange(owner_BL.size), position_BL.ravel()].reshape(owner_BL.shape)
        )

    def _owners(self, indices: Indices) -> tuple[Indices, Indices]:
        place = self._place[np.searchsorted(self._known, self.frames_NL[indices])]
        return place // self._length, place % self._length


def lengthened(run: Finished, length: int) -> View:
    """The scored test clips, each gone on to ``length`` frames; those that cannot go on are left out.

    Every added frame lies in the test split, and follows the one before it as within a clip: no gap is crossed.

    Raises:
        UserError: no test clip is long enough.
    """
    test = run.dataset.test
    if length <= run.spec.shape.length:
        return View(test, run.scored)
    every = test.frames(np.arange(len(test), dtype=np.int64))
    if every is None:
        return View(_reopened(run, length), run.scored)
    before, which = np.unique(every[:, :-1].ravel(), return_index=True)
    after = every[:, 1:].ravel()[which]
    rows, alive = [every[run.scored][:, i] for i in range(every.shape[1])], np.ones(len(run.scored), dtype=bool)
    for _ in range(length - every.shape[1]):
        place = np.searchsorted(before, rows[-1]).clip(max=len(before) - 1)
        alive &= before[place] == rows[-1]
        rows.append(after[place])
    if not alive.any():
        raise UserError(
            f"No test clip of {run.spec.benchmark} goes on for {length} frames without a gap. Ask for fewer frames."
        )
    longer = Longer(test, np.stack(rows, axis=1)[alive])
    return View(longer, np.arange(len(longer), dtype=np.int64))


def _reopened(run: Finished, length: int) -> Split:
    """Clips that share no frames are made again at the greater length; they must begin as the scored ones do."""
    spec = run.spec
    shape = spec.shape.model_copy(update={"t_out": length - spec.shape.t_in})
    hold_out = spec.selection == "validation"
    try:
        longer = open_dataset(spec.benchmark, spec.dataset, shape, run.data_dirs, hold_out).test
    except UserError as error:
        raise UserError(f"{spec.benchmark} has no test clips of {length} frames: {error}") from error
    some = run.scored[:_COMPARED]
    same = len(longer) == len(run.dataset.test) and torch.equal(
        longer.clips(some, 0)[:, : spec.shape.length], run.dataset.test.clips(some, 0)
    )
    if not same:
        raise UserError(
            f"The test clips of {spec.benchmark} end after {spec.shape.length} frames; {length} are needed, and longer "
            "ones would be other clips."
        )
    return longer
