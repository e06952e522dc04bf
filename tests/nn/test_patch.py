"""Space-to-depth: order of the channels, and its inverse."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stbench.nn import depth_to_space, space_to_depth

SMALL = st.integers(1, 3)


@settings(max_examples=30)
@given(n=SMALL, c=SMALL, h=SMALL, w=SMALL, patch=st.integers(1, 4))
def test_round_trip_and_order(n: int, c: int, h: int, w: int, patch: int) -> None:
    x = torch.arange(n * c * h * w * patch * patch).reshape(n, c, h * patch, w * patch).float()
    depth = space_to_depth(x, patch)
    assert depth.shape == (n, patch * patch * c, h, w)
    assert torch.equal(depth_to_space(depth, patch), x)
    for row in range(patch):
        for column in range(patch):
            for channel in range(c):
                seen = depth[:, (row * patch + column) * c + channel]
                assert torch.equal(seen, x[:, channel, row::patch, column::patch])


def test_reference_layout() -> None:
    """The field's own reshape of (B, H, W, C) frames, on a frame of one channel and patch 4."""
    x = torch.rand(2, 1, 8, 12)
    theirs = x.permute(0, 2, 3, 1).reshape(2, 2, 4, 3, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 16)
    assert torch.equal(space_to_depth(x, 4), theirs.permute(0, 3, 1, 2))
