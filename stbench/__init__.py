"""stbench: a benchmark suite for spatiotemporal prediction.

The names below are the public API; they load on first use, so that ``import stbench`` does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names

if TYPE_CHECKING:
    from stbench import report
    from stbench.api import Costs, Results, profile, run, table
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

__version__ = "0.2.0"

__all__ = [
    "ClipShape",
    "Costs",
    "Method",
    "MethodConfig",
    "Paper",
    "ParallelForecaster",
    "Predictor",
    "Progress",
    "RecurrentForecaster",
    "Results",
    "UserError",
    "__version__",
    "create_method",
    "list_methods",
    "load",
    "profile",
    "report",
    "run",
    "table",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".api": ["Costs", "Results", "profile", "run", "table"],
        ".errors": ["UserError"],
        ".evaluate.predictor": ["Predictor", "load"],
        ".nn": [
            "Method",
            "MethodConfig",
            "Paper",
            "ParallelForecaster",
            "Progress",
            "RecurrentForecaster",
            "create_method",
            "list_methods",
        ],
        ".report": ["report"],
        ".schema": ["ClipShape"],
    },
)
