"""Tests that need a CUDA device; elsewhere they are skipped and say so.

``STBENCH_CUDA_TESTS_ON=cpu`` runs their code on a CPU, which shows that the tests themselves work.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.cuda.device import DEVICE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if DEVICE == "cuda" and not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(skip)
