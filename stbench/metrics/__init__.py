"""Metrics whose names carry their convention. Listing them imports no torch; computing does, when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stbench.metrics.catalogue import METRICS, Metric, check_metrics, get_metric

if TYPE_CHECKING:
    from stbench.metrics.accumulate import MetricAccumulator, sequence_values
    from stbench.metrics.check import check_against_skimage
    from stbench.metrics.frames import frame_values, latitude_weights
    from stbench.metrics.perceptual import unavailable
    from stbench.metrics.trunks import UnavailableError

_LAZY = {
    "MetricAccumulator": "accumulate",
    "sequence_values": "accumulate",
    "check_against_skimage": "check",
    "frame_values": "frames",
    "latitude_weights": "frames",
    "unavailable": "perceptual",
    "UnavailableError": "trunks",
}

__all__ = [
    "METRICS",
    "Metric",
    "MetricAccumulator",
    "UnavailableError",
    "check_against_skimage",
    "check_metrics",
    "frame_values",
    "get_metric",
    "latitude_weights",
    "sequence_values",
    "unavailable",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
