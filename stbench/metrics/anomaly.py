"""Anomaly correlation: correlation of predicted and true departures from a climatology of the training data.

Axes: B sequences, T lead times, C, H, W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.metrics.metric import Need
from stbench.metrics.ratios import FromSums, ratio

if TYPE_CHECKING:
    from torch import Tensor

    from stbench.metrics.frames import Frames

NEEDS: frozenset[Need] = frozenset({"physical", "normals"})
_WEIGHTED = "with a, b = ŷ−c, y−c the departures from the climatology c of the training data, rows weighted by area (w)"


def _products(frames: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """Return Σwab, Σwa², Σwb² of each channel, (B, T, C) float64 each."""
    if "anomalies" not in frames.kept:
        pred, true = (x.double() - frames.normals for x in frames.physical)
        products = (pred * true, pred.square(), true.square())
        frames.kept["anomalies"] = tuple(  # rows are summed before they are weighted: fewer products
            (frames.over_known(x).sum(-1) * frames.row_areas).sum(-1) for x in products
        )
    found: tuple[Tensor, Tensor, Tensor] = frames.kept["anomalies"]
    return found


def _is_known(frames: Frames) -> Tensor:
    """Return which channels of a frame have a climatology in every cell with a true value, (B, T, C) bool."""
    return frames.over_known(0 * frames.normals).sum((-2, -1)) == 0  # 0 times what is not finite is NaN


def _of_each_field(frames: Frames) -> tuple[Tensor, ...]:
    """Return the sum over channels of the defined correlations, and their number."""
    product, pred, true = _products(frames)
    below = (pred * true).sqrt()
    is_defined = (below != 0) & _is_known(frames)  # NaN is not 0: a prediction that is none shows
    correlation = (product / below).where(is_defined, 0)
    return correlation.sum(-1), is_defined.sum(-1).double()


def _pooled(frames: Frames) -> tuple[Tensor, ...]:
    is_known = _is_known(frames)
    return tuple(x.where(is_known, 0).sum(-1) for x in _products(frames))


ACC = FromSums(
    name="acc",
    formula=f"Σwab / √(Σwa²·Σwb²), {_WEIGHTED}; not centred; mean of channels and frames, undefined ones left out",
    unit="",
    lower_is_better=False,
    reference="Rasp et al. 2024 (WeatherBench 2)",
    needs=NEEDS,
    parts=("correlation", "defined"),
    measure=_of_each_field,
)
ACC_POOLED = FromSums(
    name="acc_pooled",
    formula=f"Σwab / √(Σwa²·Σwb²), {_WEIGHTED}; sums over all frames and channels, then the ratio",
    unit="",
    lower_is_better=False,
    reference="Rasp et al. 2020 (WeatherBench)",
    needs=NEEDS,
    parts=("product", "predicted", "observed"),
    measure=_pooled,
    score=lambda product, predicted, observed: ratio(product, (predicted * observed) ** 0.5),
)
