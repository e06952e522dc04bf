"""The heap: unused pages go back to the kernel."""

import os
from pathlib import Path

import pytest
import torch

from stbench.train import heap


def test_unused_heap_goes_back_to_the_kernel() -> None:
    if heap._HEAP is None:
        pytest.skip("no glibc >= 2.33 here")
    heap.keep_large_blocks()
    blocks = [torch.ones(1 << 20) for _ in range(64)]
    kept = blocks[::2]
    blocks = []
    before = resident()
    heap.release_unused()
    assert before - resident() > 64 << 20
    assert all(block.sum() == 1 << 20 for block in kept)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
