"""Finished runs of the ramp benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..ramps import finished_runs, register

METHODS = ["persistence", "tau", "convlstm"]


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folder of each method."""
    register(tmp_path_factory.mktemp("benchmark"))
    return finished_runs(tmp_path_factory.mktemp("out"), METHODS)
