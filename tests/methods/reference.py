"""The reference tensors of ``../shared/reference`` as test cases: which method, which settings, how close is equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

import pytest
import torch

from stbench import ClipShape, Method, create_method
from stbench.nn.drop_path import DropPath

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=32, width=32)
REL, ABS = 1e-5, 1e-6
SPREAD_FACTOR = 10.0
"""How often the reference's own spread (sums in another order) an output may differ."""


@dataclass(frozen=True)
class Case:
    """One reference file and the method that must reproduce it."""

    file: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: ClipShape = SHAPE

    def load(self, folder: Path) -> dict[str, Any]:
        return load(folder, self.file)

    def build(self, data: Mapping[str, Any]) -> Method:
        """The method with the reference's weights, stochastic depth off (as it was for the reference)."""
        method = create_method(self.method, self.shape, **self.settings)
        method.load_public_state_dict(data["state_dict"])
        for module in method.modules():
            if isinstance(module, DropPath):
                module.rate = 0.0
        return method


def load(folder: Path, file: str) -> dict[str, Any]:
    path = folder / "reference" / f"{file}.pt"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return torch.load(path, weights_only=True)


def assert_close(seen: float, expected: float, what: str) -> None:
    assert isclose(seen, expected, rel_tol=REL, abs_tol=ABS), f"{what}: {seen} instead of {expected}"


def assert_gradients(method: Method, expected: Mapping[str, Any]) -> None:
    """Every live parameter has the reference's gradient norm, and no parameter is on one side only."""
    keys = method.public_key_map()
    norms = {keys[name]: p.grad.norm().item() for name, p in method.named_parameters() if p.grad is not None}
    assert set(norms) == set(expected)
    for key, norm in norms.items():
        assert_close(norm, float(expected[key]), f"gradient norm of {key}")
