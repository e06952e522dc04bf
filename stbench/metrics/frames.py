"""Computation of all requested metrics on every frame of a batch, in one pass.

Axes: B batch, T time, C channels, H height, W width, F = B·T frames.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.metric import Metric, check_metrics, get_metric
from stbench.metrics.statistics import WINDOWED, shared_statistics
from stbench.schema import Scaling


class Frames:
    """Predicted and true frames of a batch, and derived values that metrics share.

    Args:
        pred_BTCHW: predicted frames in model space.
        true_BTCHW: true frames, same shape and device.
        data_range: peak R of the data; None if unknown.
        physical: (predicted, true) frames in physical units, same shape; by default what ``scaling`` makes of them.
        scaling: how the frames map to physical units; None where that is not known.
        row_weights: (H,) weights of the rows, of mean 1 (:func:`latitude_weights`).
        row_areas: (H,) areas of the rows, of mean 1 (:func:`area_weights`).
        normals: what is normal at the time of each frame, in physical units, same shape.
        members: (M, B, T, C, H, W) of an ensemble whose single prediction ``pred_BTCHW`` is; None: there is only that.
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
        scaling: Scaling | None = None,
        row_weights: Tensor | None = None,
        row_areas: Tensor | None = None,
        normals: Tensor | None = None,
        members: Tensor | None = None,
        shared: Collection[str] = (),
    ) -> None:
        _check_shapes(pred_BTCHW, true_BTCHW)
        if pred_BTCHW.device.type == "mps":  # it has no float64
            pred_BTCHW, true_BTCHW = pred_BTCHW.cpu(), true_BTCHW.cpu()
        self.pred_BTCHW = pred_BTCHW
        self.true_BTCHW = true_BTCHW
        self.data_range = data_range
        self.pixels: int = pred_BTCHW[0, 0].numel()
        """Values per frame, C·H·W."""
        self.scaling = scaling
        self.kept: dict[Hashable, Any] = {}
        """What one metric worked out and another may use again."""
        self._physical = physical
        self._row_weights, self._row_areas = row_weights, row_areas
        self._normals = normals
        self.members: Tensor = self.pred_BTCHW[None] if members is None else members
        self.shared: Mapping[str, Tensor] = self._shared(shared)
        """Shared statistics of each frame, (B, T) float64; sums over known cells are scaled to the whole frame."""

    def _shared(self, names: Collection[str]) -> dict[str, Tensor]:
        size = self.pred_BTCHW.shape[:2]
        pred, true = (self.over_known(x).flatten(0, 1) for x in (self.pred_BTCHW, self.true_BTCHW))
        found = {name: x.view(size) for name, x in shared_statistics(names, pred, true, self.data_range).items()}
        if self.known is None or not found:
            return found
        whole = self.pixels / self.known.sum((2, 3, 4)).double()  # infinite without a known cell: 0 · inf is NaN
        spoilt = (whole != 1).double().masked_fill(whole != 1, torch.nan)
        return {name: x + spoilt if name in WINDOWED else x * whole for name, x in found.items()}

    @property
    def peak(self) -> float:
        """Data range R of a metric that needs one; NaN if unknown."""
        return self.data_range or float("nan")

    @cached_property
    def physical(self) -> tuple[Tensor, Tensor]:
        """Predicted and true frames in physical units, (B, T, C, H, W) each.

        Raises:
            UserError: neither such frames nor a scaling were given, or they have another shape.
        """
        if self._physical is None and self.scaling is not None:
            return self.scaling.to_physical(self.pred_BTCHW), self.scaling.to_physical(self.true_BTCHW)
        if self._physical is None:
            raise UserError("Metrics in physical units need frames in these units. Pass physical=(pred, true).")
        pred, true = self._physical
        _check_shapes(pred, true)
        if pred.shape != self.pred_BTCHW.shape:
            seen, expected = tuple(pred.shape), tuple(self.pred_BTCHW.shape)
            raise UserError(f"Physical frames {seen} do not match the model-space frames {expected}.")
        return pred, true

    @cached_property
    def physical_error(self) -> Tensor:
        """Predicted minus true in physical units, (B, T, C, H, W) float64.

        Raises:
            UserError: they are not known (:attr:`physical`).
        """
        pred, true = self.physical
        return pred.double() - true

    @cached_property
    def absolute_error(self) -> Tensor:
        """|predicted − true| in physical units, (B, T, C, H, W) float64; as :attr:`physical_error` raises."""
        return self.physical_error.abs()

    @cached_property
    def squared_error(self) -> Tensor:
        """(predicted − true)² in physical units, (B, T, C, H, W) float64; as :attr:`physical_error` raises."""
        return self.physical_error.square()

    @cached_property
    def mean_absolute_error(self) -> Tensor:
        """Mean of :attr:`absolute_error` over the known cells of each frame, (B, T)."""
        return self.mean_over_known(self.absolute_error)

    @cached_property
    def mean_squared_error(self) -> Tensor:
        """Mean of :attr:`squared_error` over the known cells of each frame, (B, T)."""
        return self.mean_over_known(self.squared_error)

    def in_model_space(self, value: float) -> Tensor:
        """A physical value as a stored frame holds it, (C, 1, 1) float32.

        The operations are those that scaled the frames: a true value that equals a threshold still does.
        """
        scaling = Scaling() if self.scaling is None else self.scaling
        given = torch.full((self.pred_BTCHW.shape[2], 1, 1), value, dtype=torch.float32)
        return scaling.to_model(given).to(self.pred_BTCHW.device)

    @cached_property
    def known(self) -> Tensor | None:
        """Which cells have a true value, (B, T, C, H, W) bool; None where all have one."""
        missing = self.true_BTCHW.isnan()
        return ~missing if bool(missing.any()) else None

    @property
    def physical_members(self) -> Tensor:
        """Members in physical units, (M, B, T, C, H, W).

        Raises:
            UserError: the units are not known.
        """
        if len(self.members) == 1 or self.scaling is None:
            return self.physical[0][None]
        return self.scaling.to_physical(self.members)

    def mean_over_known(self, values_BTCHW: Tensor, weights_H: Tensor | None = None) -> Tensor:
        """Mean of each frame over the cells with a true value, (B, T), rows weighted; NaN where there is none."""
        if self.known is None:
            return (values_BTCHW if weights_H is None else values_BTCHW * weights_H[:, None]).mean((2, 3, 4))
        weights = self.known.double() * (1 if weights_H is None else weights_H[:, None])
        return (self.over_known(values_BTCHW) * weights).sum((2, 3, 4)) / weights.sum((2, 3, 4))

    def over_known(self, values_BTCHW: Tensor) -> Tensor:
        """The values where the truth is known, 0 elsewhere."""
        return values_BTCHW if self.known is None else values_BTCHW.where(self.known, 0)

    @cached_property
    def undefined(self) -> Tensor:
        """0 for a frame whose prediction is finite, NaN for others, (B, T) float64: added to counts it shows there."""
        return 0 * self.pred_BTCHW.sum((2, 3, 4), dtype=torch.float64)

    @cached_property
    def row_weights(self) -> Tensor:
        """Weights of the rows by the cosine of their latitude, (H,) float64; 1 where none were given.

        Raises:
            UserError: their number differs from that of the rows.
        """
        return self._by_row(self._row_weights)

    @cached_property
    def row_areas(self) -> Tensor:
        """Areas of the rows, (H,) float64 of mean 1; 1 where none were given.

        Raises:
            UserError: there are more or fewer of them than rows.
        """
        return self._by_row(self._row_areas)

    @property
    def normals(self) -> Tensor:
        """What is normal at the time of each frame, (B, T, C, H, W) in physical units.

        Raises:
            UserError: it was not given.
        """
        if self._normals is None:
            raise UserError("Anomalies: no climatology was given. Pass normals=(B, T, C, H, W) in physical units.")
        return self._normals

    def _by_row(self, given: Tensor | None) -> Tensor:
        rows = self.pred_BTCHW.shape[-2]
        weights = torch.ones(rows) if given is None else given
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
    scaling: Scaling | None = None,
    row_weights: Tensor | None = None,
    row_areas: Tensor | None = None,
    normals: Tensor | None = None,
    members: Tensor | None = None,
) -> dict[str, tuple[Tensor, ...]]:
    """Compute the statistics of each metric on each frame, for :class:`stbench.metrics.MetricAccumulator`.

    Args:
        names: metrics, as in ``stbench list metrics``.
        pred_BTCHW: predicted frames in model space.
        true_BTCHW: true frames, same shape and device.
        data_range: peak R of the data, for the metrics that clip or normalise; None if unknown.
        physical: (predicted, true) frames in physical units, same shape; by default what ``scaling`` makes of them.
        scaling: how the frames map to physical units, for thresholds in these.
        row_weights: (H,) weights of the rows for the ``*_latitude`` metrics, of mean 1 (:func:`latitude_weights`).
        row_areas: (H,) areas of the rows for the ``*_area`` metrics and acc, of mean 1 (:func:`area_weights`).
        normals: what is normal at the time of each frame, in physical units, same shape.
        members: (M, B, T, C, H, W) of an ensemble in the space of ``pred_BTCHW``; None for one prediction.

    Returns:
        By name, one (B, T) float64 tensor for each part of the metric, on the frames' device. A predicted frame with a
        NaN scores NaN; other frames are unaffected. A true NaN is a missing cell: metrics that can, leave it out.

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
        scaling=scaling,
        row_weights=row_weights,
        row_areas=row_areas,
        normals=normals,
        members=members,
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
    **given: Any,
) -> dict[str, Tensor]:
    """Return each metric's value on each frame, (B, T) float64 on the CPU; arguments as :func:`frame_statistics`."""
    found = frame_statistics(names, pred_BTCHW, true_BTCHW, data_range=data_range, **given)
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


def area_weights(degrees_H: Tensor) -> Tensor:
    """Areas of grid cells, scaled to mean 1: latitudes of the rows (H,) in degrees, in order -> (H,) float64.

    A row reaches halfway to its neighbours, or to the pole. On a grid of cell centres these are the cosines of
    :func:`latitude_weights`; rows at a pole have an area, but no cosine.

    >>> [round(float(weight), 6) for weight in area_weights(torch.tensor([-90.0, -45.0, 0.0, 45.0, 90.0]))]
    [0.190301, 1.35299, 1.913417, 1.35299, 0.190301]
    """
    degrees = degrees_H.double()
    if len(degrees) == 1:
        return torch.ones(1, dtype=torch.float64)
    halfway = (degrees[1:] + degrees[:-1]) / 2
    outer = torch.stack([degrees[0] - (halfway[0] - degrees[0]), degrees[-1] + (degrees[-1] - halfway[-1])])
    edges = torch.cat([outer[:1], halfway, outer[1:]]).clip(-90, 90)
    area = torch.sin(torch.deg2rad(edges)).diff().abs()
    return area / area.mean()
