"""Finished runs of the ramp benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ramps import finished_runs, registered

METHODS = ["persistence", "tau", "convlstm"]


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Run folder of each method."""
    with registered(tmp_path_factory.mktemp("benchmark")):
        yield finished_runs(tmp_path_factory.mktemp("out"), METHODS)
