"""Growth of cost with horizon, resolution and batch: exponents of fitted power laws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stbench.errors import UserError
from stbench.nn import METHODS
from stbench.schema import ClipShape, RunSpec

HORIZONS = (1, 2, 4)
SIDES = (0.5, 1, 2)


def fit_exponent(values: Mapping[float, float]) -> float | None:
    """Fit cost = b·factor^a by least squares and return a; None for fewer than two points or a cost of 0.

    >>> round(fit_exponent({1: 3.0, 2: 12.0, 4: 48.0}), 6)
    2.0
    """
    if len(values) < 2 or min(values.values()) <= 0:
        return None
    return float(np.polyfit(np.log(list(values)), np.log(list(values.values())), 1)[0])


def horizons(spec: RunSpec) -> dict[float, ClipShape]:
    """Return longer horizons, by the factor of T_out."""
    shape = spec.shape
    return {float(factor): shape.model_copy(update={"t_out": factor * shape.t_out}) for factor in HORIZONS}


def resolutions(spec: RunSpec) -> dict[float, ClipShape]:
    """Return smaller and larger frames, by the factor of H·W, without sizes that the method rejects or pads."""
    shape = spec.shape
    found = {}
    for side in SIDES:
        scaled = shape.model_copy(update={"height": int(side * shape.height), "width": int(side * shape.width)})
        if _fits(spec, scaled):
            found[float(side * side)] = scaled
    return found


def _fits(spec: RunSpec, shape: ClipShape) -> bool:
    try:
        parsed = ClipShape.parse(shape.model_dump(), "shape")
        return METHODS.get(spec.plugin).create(parsed, spec.config, spec.method).net_shape == parsed
    except UserError:
        return False
