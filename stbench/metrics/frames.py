"""Every requested metric of every frame of a batch, in one pass.

Axes: B batch, T time, C channels, H height, W width, F = B·T frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stbench.errors import UserError
from stbench.metrics.catalogue import check_metrics
from stbench.metrics.perceptual import lpips_frames
from stbench.metrics.statistics import FORMULAS, formula_values


@torch.no_grad()
def frame_values(
    names: Sequence[str],
    pred_BTCHW: Tensor,
    true_BTCHW: Tensor,
    *,
    data_range: float | None,
    physical: tuple[Tensor, Tensor] | None = None,
    row_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Value of each metric on each frame.

    Args:
        names: metrics of :data:`stbench.metrics.METRICS`.
        pred_BTCHW: predicted frames in the space they are to be scored in.
        true_BTCHW: true frames, same shape and device.
        data_range: peak R of the data, for the metrics that clip or normalise; None where it has none.
        physical: (predicted, true) frames in physical units, same shape, for the ``*_physical`` metrics.
        row_weights: (H,) weights of the rows for the ``*_latitude`` metrics, of mean 1 (:func:`latitude_weights`).

    Returns:
        One (B, T) float64 tensor per name, on the frames' device. A frame with a NaN scores NaN; others are untouched.

    Raises:
        UserError: an unknown metric, shapes that differ, a missing data range or missing weights, frames too small for
            a metric.
    """
    metrics = check_metrics(names, data_range=data_range, latitudes_known=row_weights is not None)
    _check_shapes(pred_BTCHW, true_BTCHW)
    if pred_BTCHW.device.type == "mps":  # it has no float64
        pred_BTCHW, true_BTCHW = pred_BTCHW.cpu(), true_BTCHW.cpu()
    batch_time = pred_BTCHW.shape[:2]
    pred, true = pred_BTCHW.flatten(0, 1), true_BTCHW.flatten(0, 1)
    values = formula_values([metric.name for metric in metrics if metric.name in FORMULAS], pred, true, data_range)
    for metric in metrics:
        if metric.family == "lpips":
            assert data_range is not None  # check_metrics made sure
            values[metric.name] = lpips_frames(metric.name, pred, true, data_range)
    if any(metric.needs_physical for metric in metrics):
        values |= _physical_values(pred_BTCHW, physical, row_weights)
    return {metric.name: values[metric.name].view(batch_time) for metric in metrics}


def _check_shapes(pred: Tensor, true: Tensor) -> None:
    if pred.shape != true.shape or pred.ndim != 5 or not pred.numel():
        raise UserError(
            f"Predicted frames {tuple(pred.shape)} and true frames {tuple(true.shape)} cannot be compared: "
            "both must be (B, T, C, H, W), of one shape and not empty."
        )


def _physical_values(
    like: Tensor, physical: tuple[Tensor, Tensor] | None, row_weights: Tensor | None
) -> dict[str, Tensor]:
    """Errors in physical units, with weights also those by latitude, (F,) each."""
    if physical is None:
        raise UserError("Metrics in physical units: no frames in such units were given. Pass physical=(pred, true).")
    pred, true = physical
    _check_shapes(pred, true)
    if pred.shape != like.shape:
        raise UserError(f"Physical frames {tuple(pred.shape)} do not match the model-space frames {tuple(like.shape)}.")
    error = (pred.double() - true).flatten(0, 1)
    kinds = {"physical": error.new_ones(error.shape[-2])}
    if row_weights is not None:
        kinds["latitude"] = row_weights.to(error)
    values = {}
    for kind, weights in kinds.items():
        if weights.shape != error.shape[-2:-1]:
            raise UserError(f"Row weights {tuple(weights.shape)} do not match frames of {error.shape[-2]} rows.")
        values[f"mae_{kind}"] = (error.abs() * weights[:, None]).mean((1, 2, 3))
        values[f"rmse_{kind}"] = (error.square() * weights[:, None]).mean((1, 2, 3)).sqrt()
    return values


def latitude_weights(degrees_H: Tensor) -> Tensor:
    """Cosine-of-latitude weights of grid rows, scaled to mean 1: (H,) degrees -> (H,) float64."""
    cosine = torch.cos(torch.deg2rad(degrees_H.double()))
    return cosine / cosine.mean()
