"""Metrics; a metric's name states its convention. Listing them does not import torch; computing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.lazy import lazy_names
from stbench.metrics.metric import METRICS, Metric, check_metrics, expand, get_metric, unavailable, with_companions

if TYPE_CHECKING:
    from stbench.metrics.accumulate import MetricAccumulator
    from stbench.metrics.check import check_against_skimage
    from stbench.metrics.frames import Frames, area_weights, frame_statistics, frame_values, latitude_weights
    from stbench.metrics.trunks import UnavailableError

__all__ = [
    "METRICS",
    "Frames",
    "Metric",
    "MetricAccumulator",
    "UnavailableError",
    "area_weights",
    "check_against_skimage",
    "check_metrics",
    "expand",
    "frame_statistics",
    "frame_values",
    "get_metric",
    "latitude_weights",
    "unavailable",
    "with_companions",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".accumulate": ["MetricAccumulator"],
        ".check": ["check_against_skimage"],
        ".frames": ["Frames", "area_weights", "frame_statistics", "frame_values", "latitude_weights"],
        ".trunks": ["UnavailableError"],
    },
)
