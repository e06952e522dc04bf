"""Which test sequences share frames, against brute force over all pairs."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from stbench.data.dataset import Indices, Split
from stbench.evaluate.overlap import overlap
from tests.support.stored_frames import windowed


class Generated(Split):
    def __len__(self) -> int:
        return 5

    def clips(self, indices: Indices, epoch: int) -> torch.Tensor:
        return torch.zeros(len(indices), 2, 1, 8, 8)


def brute(windows: list[list[int]]) -> int:
    pairs = [j - i for i, a in enumerate(windows) for j, b in enumerate(windows) if j > i and set(a) & set(b)]
    return max(pairs, default=0) + 1


@given(st.lists(st.integers(0, 25), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 3))
def test_equals_all_pairs(starts: list[int], length: int, every: int) -> None:
    windows = [list(range(start, start + length)) for start in starts]
    split = windowed(np.zeros((40, 1, 2, 2)), np.array(windows))
    scored = np.arange(0, len(windows), every)
    assert overlap(split, scored) == brute([windows[i] for i in scored])


def test_consecutive_windows_reach_over_their_length() -> None:
    split = windowed(np.zeros((40, 1, 2, 2)), np.arange(20)[:, None] + np.arange(8))
    assert overlap(split, np.arange(20)) == 8
    assert overlap(split, np.arange(0, 20, 8)) == 1


def test_generated_clips_share_nothing() -> None:
    assert overlap(Generated(), np.arange(5)) == 1
