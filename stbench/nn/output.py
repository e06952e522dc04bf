"""The head of methods whose published form ties predictions to [0, 1]."""

from __future__ import annotations

from typing import Any, Literal

from stbench.schema import Benchmark

OutputActivation = Literal["sigmoid", "none"]


def fitting_activation(benchmark: Benchmark) -> dict[str, Any]:
    """``output_activation`` "none" where the benchmark's values leave [0, 1]; nothing where they stay inside."""
    values = benchmark.value_range
    inside = values is not None and values[0] >= 0 and values[1] <= 1
    return {} if inside else {"output_activation": "none"}
