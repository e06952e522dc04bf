"""Fixtures every test package shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference material, ``$STBENCH_SHARED`` or the one beside the repository; where absent, skip."""
    beside = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("STBENCH_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {folder}, which is not there")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run small models: one thread is ten times faster than two that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
