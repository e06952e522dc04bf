"""The engine of the training tests."""

import pytest

from stbench.train.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine("cpu")
