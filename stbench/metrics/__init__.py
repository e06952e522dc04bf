"""Metrics whose names carry their convention. Listing them imports no torch; computing does, when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names
from stbench.metrics.catalogue import METRICS, Metric, check_metrics, get_metric

if TYPE_CHECKING:
    from stbench.metrics.accumulate import MetricAccumulator, sequence_values
    from stbench.metrics.check import check_against_skimage
    from stbench.metrics.frames import frame_values, latitude_weights
    from stbench.metrics.perceptual import unavailable
    from stbench.metrics.trunks import UnavailableError

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".accumulate": ["MetricAccumulator", "sequence_values"],
        ".check": ["check_against_skimage"],
        ".frames": ["frame_values", "latitude_weights"],
        ".perceptual": ["unavailable"],
        ".trunks": ["UnavailableError"],
    },
)
