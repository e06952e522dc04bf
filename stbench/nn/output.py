"""Output activation of methods whose published form limits predictions to [0, 1]."""

from __future__ import annotations

from typing import Any, Literal

from stbench.schema import Benchmark

OutputActivation = Literal["sigmoid", "none"]


def fitting_activation(benchmark: Benchmark) -> dict[str, Any]:
    """Return ``output_activation`` "none" if the benchmark has values outside [0, 1], else no setting."""
    values = benchmark.value_range
    inside = values is not None and values[0] >= 0 and values[1] <= 1
    return {} if inside else {"output_activation": "none"}
