"""The table of metrics: what each name means. Free of torch, so that listing them is instant.

Notation: y the true frame, ŷ the predicted one, C, H, W its channels and pixels, R the benchmark's ``data_range``,
``clip`` the restriction of a frame to [0, R].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stbench.errors import UserError, unknown_name

Reduction = Literal["mean", "rms"]
Family = Literal["error", "clipped", "ssim", "lpips", "physical", "latitude"]


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    Attributes:
        name: identifies the convention; two conventions never share a name.
        description: formula of one frame, and how frames are pooled.
        unit: unit of the value; "model" is the benchmark's model space.
        lower_is_better: direction of improvement.
        family: which computation it shares.
        reduction: how frames are pooled: their mean, or the root of the mean of their squares.
    """

    name: str
    description: str
    unit: str
    lower_is_better: bool
    family: Family
    reduction: Reduction = "mean"

    @property
    def needs_data_range(self) -> bool:
        """Whether the value is defined only for a stated data range."""
        return self.family in ("clipped", "ssim", "lpips")

    @property
    def needs_physical(self) -> bool:
        """Whether it is computed on frames in physical units."""
        return self.family in ("physical", "latitude")

    @property
    def needs_latitudes(self) -> bool:
        """Whether it weights rows by their latitude."""
        return self.family == "latitude"


def _lower(name: str, description: str, unit: str, family: Family = "error", reduction: Reduction = "mean") -> Metric:
    return Metric(name, description, unit, lower_is_better=True, family=family, reduction=reduction)


def _higher(name: str, description: str, unit: str, family: Family) -> Metric:
    return Metric(name, description, unit, lower_is_better=False, family=family)


_LPIPS = "learned perceptual distance v0.1, {} trunk, frames in [-1, 1], grey as three channels; mean of frames"

_BY_LATITUDE = "with rows weighted by the cosine of their latitude (weights of mean 1)"

_TABLE = (
    _lower("mse_frame", "Σ(ŷ−y)² over C, H, W; mean of frames (the field's table unit)", "model²"),
    _lower("mae_frame", "Σ|ŷ−y| over C, H, W; mean of frames (the field's table unit)", "model"),
    _lower("rmse_frame", "root of mse_frame", "model", reduction="rms"),
    _lower("mse_pixel", "mean of (ŷ−y)² over C, H, W; mean of frames", "model²"),
    _lower("mae_pixel", "mean of |ŷ−y| over C, H, W; mean of frames", "model"),
    _lower("rmse_pixel", "root of mse_pixel", "model", reduction="rms"),
    _higher("psnr", "10·log10(R² / mean (ŷ−y)²) after clip; mean of frames; inf where equal", "dB", "clipped"),
    _higher("snr", "10·log10(Σy² / Σ(ŷ−y)²) after clip; mean of frames; inf where equal", "dB", "clipped"),
    _higher(
        "ssim",
        "structural similarity, 7×7 uniform window, sample covariance, data_range R, after clip; "
        "channels averaged; mean of frames",
        "",
        "ssim",
    ),
    _higher("ssim_legacy", "as ssim with data_range 2R, the inflated value of older tables", "", "ssim"),
    _lower("lpips_alex", _LPIPS.format("AlexNet"), "", "lpips"),
    _lower("lpips_vgg", _LPIPS.format("VGG-16"), "", "lpips"),
    _lower("lpips_squeeze", _LPIPS.format("SqueezeNet 1.1"), "", "lpips"),
    _lower("mae_physical", "mean of |ŷ−y| over C, H, W in physical units; mean of frames", "physical", "physical"),
    _lower(
        "rmse_physical",
        "root of the mean of (ŷ−y)² over C, H, W and frames in physical units",
        "physical",
        "physical",
        "rms",
    ),
    _lower("mae_latitude", f"mae_physical {_BY_LATITUDE}", "physical", "latitude"),
    _lower("rmse_latitude", f"rmse_physical {_BY_LATITUDE}", "physical", "latitude", "rms"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def get_metric(name: str) -> Metric:
    """Look a metric up by name.

    Raises:
        UserError: the name is unknown; the message suggests a near miss.
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def check_metrics(
    names: Iterable[str], *, data_range: float | None, latitudes_known: bool = True
) -> tuple[Metric, ...]:
    """Resolve names and check that what they need is stated.

    Raises:
        UserError: an unknown name, a name given twice, a data range that is needed and absent or not positive, or
            latitudes that are needed and not known.
    """
    metrics = tuple(get_metric(name) for name in names)
    listed = [metric.name for metric in metrics]
    for name in listed:
        if listed.count(name) > 1:
            raise UserError(f"Metric {name!r} is listed {listed.count(name)} times. List it once.")
    needy = ", ".join(metric.name for metric in metrics if metric.needs_data_range)
    if needy and (data_range is None or not 0 < data_range < float("inf")):
        raise UserError(
            f"{needy}: the peak of the data must be known and positive, data_range is {data_range}. "
            "State data_range in the benchmark, or leave these metrics out."
        )
    needy = ", ".join(metric.name for metric in metrics if metric.needs_latitudes)
    if needy and not latitudes_known:
        raise UserError(
            f"{needy}: the latitudes of the rows are not known. State those of the first and the last row "
            "(evaluation.latitudes: [60.0, 50.0]), or leave these metrics out."
        )
    return metrics
