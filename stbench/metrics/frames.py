"""Computation of all requested metrics on every frame of a batch, in one pass.

Axes: B batch, T time, C channels, H height, W width, F = B·T frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.metric import Metric, check_metrics, get_metric
from stbench.metrics.statistics import shared_statistics


class Frames:
    """Predicted and true frames of a batch, and derived values that metrics share.

    Args:
        pred_BTCHW: predicted frames in model space.
        true_BTCHW: true frames, same shape and device.
        data_range: peak R of the data; None if unknown.
        physical: (predicted, true) frames in physical units, same shape.
        row_weights: (H,) weights of the rows, with mean 1 (:func:`latitude_weights`).
        shared: names of the shared statistics to compute.

    Raises:
        UserError: shapes differ, or frames are too small for a shared statistic.
    """

    def __init__(
        self,
        pred_BTCHW: Tensor,
        true_BTCHW: Tensor,
        *,
        data_range: float | None = None,
        physical: tuple[Tensor, Tensor] | None = None,
        row_weights: Tensor | None = None,
        shared: Collection[str] = (),
    ) -> None:
        _check_shapes(pred_BTCHW, true_BTCHW)
        if pred_BTCHW.device.type == "mps":  # it has no float64
            pred_BTCHW, true_BTCHW = pred_BTCHW.cpu(), true_BTCHW.cpu()
        self.pred_BTCHW = pred_BTCHW
        self.true_BTCHW = true_BTCHW
        self.data_range = data_range
        self.pixels = pred_BTCHW[0, 0].numel()
        """Values per frame, C·H·W."""
        self._physical = physical
        self._row_weights = row_weights
        found = shared_statistics(shared, pred_BTCHW.flatten(0, 1), true_BTCHW.flatten(0, 1), data_range)
        self.shared: Mapping[str, Tensor] = {name: x.view(pred_BTCHW.shape[:2]) for name, x in found.items()}
        """Shared statistics of each frame, (B, T) float64."""

    @property
    def peak(self) -> float:
        """Data range R of a metric that needs one; NaN if unknown."""
        return self.data_range or float("nan")

    @cached_property
    def physical_error(self) -> Tensor:
        """Predicted minus true in physical units, (B, T, C, H, W) float64.

        Raises:
            UserError: no frames in physical units were given, or their shape differs.
        """
        if self._physical is None:
            raise UserError("Metrics in physical units need frames in these units. Pass physical=(pred, true).")
        pred, true = self._physical
        _check_shapes(pred, true)
        if pred.shape != self.pred_BTCHW.shape:
            seen, expected = tuple(pred.shape), tuple(self.pred_BTCHW.shape)
            raise UserError(f"Physical frames {seen} do not match the model-space frames {expected}.")
        return pred.double() - true

    @cached_property
    def row_weights(self) -> Tensor:
        """Weights of the rows, (H,) float64; 1 if none were given.

        Raises:
            UserError: their number differs from that of the rows.
        """
        rows = self.pred_BTCHW.shape[-2]
        weights = torch.ones(rows) if self._row_weights is None else self._row_weights
        if weights.shape != (rows,):
            raise UserError(f"Row weights {tuple(weights.shape)} do not match frames of {rows} rows.")
        return weights.to(self.pred_BTCHW.device, torch.float64)


@torch.no_grad()
def frame_statistics(
    names: Sequence[str],
    pred_BTCHW: Tensor,
    true_BTCHW: Tensor,
    *,
    data_range: float | None,
    physical: tuple[Tensor, Tensor] | None = None,
    row_weights: Tensor | None = None,
) -> dict[str, tuple[Tensor, ...]]:
    """Compute the statistics of each metric on each frame, for :class:`stbench.metrics.MetricAccumulator`.

    Args:
        names: metrics, as in ``stbench list metrics``.
        pred_BTCHW: predicted frames in model space.
        true_BTCHW: true frames, same shape and device.
        data_range: peak R of the data, for metrics that clip or normalise; None if unknown.
        physical: (predicted, true) frames in physical units, same shape, for the ``*_physical`` metrics.
        row_weights: (H,) weights of the rows for the ``*_latitude`` metrics, with mean 1 (:func:`latitude_weights`).

    Returns:
        By name, one (B, T) float64 tensor for each part of the metric, on the frames' device. A frame with a NaN scores
        NaN; other frames are unaffected.

    Raises:
        UserError: a metric is unknown, shapes differ, the data range or weights are missing, frames are too small for a
            metric, or a metric does not return its parts.
    """
    metrics = check_metrics(names, data_range=data_range, latitudes_known=row_weights is not None)
    frames = Frames(
        pred_BTCHW,
        true_BTCHW,
        data_range=data_range,
        physical=physical,
        row_weights=row_weights,
        shared={name for metric in metrics for name in metric.shared},
    )
    return {metric.name: _measure(metric, frames) for metric in metrics}


def _measure(metric: Metric, frames: Frames) -> tuple[Tensor, ...]:
    found = metric.statistics(frames)
    parts = (found,) if isinstance(found, Tensor) else tuple(found)
    expected = [tuple(frames.pred_BTCHW.shape[:2])] * len(metric.parts)
    if [tuple(part.shape) for part in parts] != expected:
        seen = [tuple(part.shape) for part in parts]
        raise UserError(
            f"The metric {metric.name!r} returned statistics of shapes {seen}, expected {expected}: one (B, T) tensor "
            f"for each of its parts ({', '.join(metric.parts)}). "
            f"Check it with: stbench check --kind metrics {metric.name}"
        )
    return tuple(part.double() for part in parts)


def frame_values(
    names: Sequence[str],
    pred_BTCHW: Tensor,
    true_BTCHW: Tensor,
    *,
    data_range: float | None,
    physical: tuple[Tensor, Tensor] | None = None,
    row_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return each metric's value on each frame, (B, T) float64 on the CPU; arguments as :func:`frame_statistics`."""
    found = frame_statistics(
        names, pred_BTCHW, true_BTCHW, data_range=data_range, physical=physical, row_weights=row_weights
    )
    return {name: torch.from_numpy(finish_frames(name, parts)) for name, parts in found.items()}


def finish_frames(name: str, parts: Sequence[Tensor]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the value of a metric on each frame, (B, T), from the frame's statistics."""
    with np.errstate(all="ignore"):  # the value of a frame may be undefined
        return np.asarray(get_metric(name).finish([part.cpu().numpy() for part in parts]), dtype=np.float64)


def _check_shapes(pred: Tensor, true: Tensor) -> None:
    if pred.shape != true.shape or pred.ndim != 5 or not pred.numel():
        raise UserError(
            f"Predicted frames {tuple(pred.shape)} and true frames {tuple(true.shape)} cannot be compared: "
            "both must be (B, T, C, H, W), of one shape and not empty."
        )


def latitude_weights(degrees_H: Tensor) -> Tensor:
    """Return cosine-of-latitude weights of grid rows, scaled to mean 1: (H,) degrees -> (H,) float64."""
    cosine = torch.cos(torch.deg2rad(degrees_H.double()))
    return cosine / cosine.mean()
