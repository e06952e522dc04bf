"""Fixtures every test package shares."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from stbench.train.engine import Engine

settings.register_profile("no clock", deadline=None)  # a busy machine is no counterexample
settings.load_profile("no clock")

STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seconds", type=float, help="start no test after this many seconds; the others skip and say so")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    seconds = item.config.getoption("--seconds")
    if seconds is not None and time.monotonic() - item.config.stash[STARTED] > seconds:
        pytest.skip(f"not run: the {seconds:g} s for the tests are over")


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


@pytest.fixture(scope="session")
def engine() -> "Engine":
    """The engine of training tests on a CPU; tests on a device have their own."""
    from stbench.train.engine import Engine

    return Engine("cpu")
