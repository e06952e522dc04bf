"""stbench: a benchmark suite for spatiotemporal prediction.

The names below are the public API; they load on first use, so that ``import stbench`` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stbench.errors import UserError
    from stbench.evaluate.predictor import Predictor, load
    from stbench.nn import (
        Method,
        MethodConfig,
        Paper,
        ParallelForecaster,
        Progress,
        RecurrentForecaster,
        create_method,
        list_methods,
    )
    from stbench.schema import ClipShape

__version__ = "0.1.0"

_HOMES = {
    "ClipShape": "stbench.schema",
    **dict.fromkeys(("Method", "MethodConfig", "Paper", "ParallelForecaster", "Progress"), "stbench.nn"),
    **dict.fromkeys(("RecurrentForecaster", "create_method", "list_methods"), "stbench.nn"),
    **dict.fromkeys(("Predictor", "load"), "stbench.evaluate.predictor"),
    "UserError": "stbench.errors",
}

__all__ = [
    "ClipShape",
    "Method",
    "MethodConfig",
    "Paper",
    "ParallelForecaster",
    "Predictor",
    "Progress",
    "RecurrentForecaster",
    "UserError",
    "__version__",
    "create_method",
    "list_methods",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'stbench' has no attribute {name!r}")
