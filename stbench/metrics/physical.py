"""Errors in the units of the data, plain and with rows weighted by the cosine of their latitude."""

from __future__ import annotations

from stbench.metrics.errors import MeanOfFrames, RootOfMean

_BY_LATITUDE = "with rows weighted by the cosine of their latitude (weights of mean 1)"


MSE_PHYSICAL = MeanOfFrames(
    name="mse_physical",
    formula="mean of (ŷ−y)² over C, H, W in physical units; mean of frames",
    unit="physical²",
    reference="Zhang et al. 2017 (ST-ResNet)",
    needs=frozenset({"physical"}),
    value=lambda frames: frames.mean_squared_error,
)
MAE_PHYSICAL = MeanOfFrames(
    name="mae_physical",
    formula="mean of |ŷ−y| over C, H, W in physical units; mean of frames",
    unit="physical",
    reference="Zhang et al. 2017 (ST-ResNet)",
    needs=frozenset({"physical"}),
    value=lambda frames: frames.mean_absolute_error,
)
RMSE_PHYSICAL = RootOfMean(
    name="rmse_physical",
    formula="root of the mean of (ŷ−y)² over C, H, W and frames in physical units",
    unit="physical",
    reference="Zhang et al. 2017 (ST-ResNet)",
    needs=frozenset({"physical"}),
    value=lambda frames: frames.mean_squared_error.sqrt(),
)
MAE_LATITUDE = MeanOfFrames(
    name="mae_latitude",
    formula=f"mae_physical {_BY_LATITUDE}",
    unit="physical",
    reference="Rasp et al. 2020 (WeatherBench)",
    needs=frozenset({"physical", "latitudes"}),
    value=lambda frames: frames.mean_over_known(frames.absolute_error, frames.row_weights),
)
RMSE_LATITUDE = RootOfMean(
    name="rmse_latitude",
    formula=f"rmse_physical {_BY_LATITUDE}",
    unit="physical",
    reference="Rasp et al. 2020 (WeatherBench)",
    needs=frozenset({"physical", "latitudes"}),
    value=lambda frames: frames.mean_over_known(frames.squared_error, frames.row_weights).sqrt(),
)


_AREAS = "with rows weighted by their area (weights of mean 1; right for rows at a pole too)"

MAE_AREA = MeanOfFrames(
    name="mae_area",
    formula=f"mae_physical {_AREAS}",
    unit="physical",
    reference="Rasp et al. 2024 (WeatherBench 2)",
    needs=frozenset({"physical", "latitudes"}),
    value=lambda frames: frames.mean_over_known(frames.absolute_error, frames.row_areas),
)
RMSE_AREA = RootOfMean(
    name="rmse_area",
    formula=f"rmse_physical {_AREAS}",
    unit="physical",
    reference="Rasp et al. 2024 (WeatherBench 2)",
    needs=frozenset({"physical", "latitudes"}),
    value=lambda frames: frames.mean_over_known(frames.squared_error, frames.row_areas).sqrt(),
)
BIAS_PHYSICAL = MeanOfFrames(
    name="bias_physical",
    formula="mean of ŷ−y over C, H, W in physical units; mean of frames",
    unit="physical",
    reference="Jolliffe & Stephenson 2012",
    best=0.0,
    needs=frozenset({"physical"}),
    value=lambda frames: frames.mean_over_known(frames.physical_error),
)
BIAS_AREA = MeanOfFrames(
    name="bias_area",
    formula=f"bias_physical {_AREAS}",
    unit="physical",
    reference="Rasp et al. 2024 (WeatherBench 2)",
    best=0.0,
    needs=frozenset({"physical", "latitudes"}),
    value=lambda frames: frames.mean_over_known(frames.physical_error, frames.row_areas),
)
