"""Tiny WeatherBench: one NetCDF file per variable and year, version 4 and (one year) the classic format.

Each file holds the first hours of its year; a frame's first cell is its number, year · 1000 + hour.
"""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import netcdf_file

YEARS = range(2010, 2019)
HOURS = 40
CLASSIC = 2013
FOLDERS = {
    "t2m": "2m_temperature",
    "u10": "10m_u_component_of_wind",
    "v10": "10m_v_component_of_wind",
    "r": "relative_humidity",
    "tcc": "total_cloud_cover",
}
UNITS = "hours since 1900-01-01 00:00:0.0"


def hours_of(year: int) -> np.ndarray:
    start = (np.datetime64(f"{year}-01-01T00") - np.datetime64("1900-01-01T00")).astype(int)
    return start + np.arange(HOURS)


def field(year: int, variable: str) -> np.ndarray:
    """(T, 32, 64) float32."""
    random = np.random.default_rng([year, *variable.encode()])
    values = random.normal(280, 10, (HOURS, 32, 64)).astype(np.float32)
    values[:, 0, 0] = year * 1000 + np.arange(HOURS) - 2_000_000
    return values


def path_of(folder: Path, variable: str, year: int) -> Path:
    return folder / FOLDERS[variable] / f"{FOLDERS[variable]}_{year}_5.625deg.nc"


def write(folder: Path, variables: tuple[str, ...] = ("t2m",)) -> None:
    for variable in variables:
        (folder / FOLDERS[variable]).mkdir(parents=True)
        for year in YEARS:
            writer = write_classic if year == CLASSIC else write_hdf5
            writer(path_of(folder, variable, year), variable, field(year, variable), hours_of(year))


def write_hdf5(path: Path, variable: str, values: np.ndarray, hours: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["time"] = hours
        file["time"].attrs["units"] = UNITS
        file["lat"], file["lon"] = np.linspace(-87, 87, 32), np.arange(64) * 5.625
        if variable == "r":  # has pressure levels, of which the last is used
            file["level"] = np.array([500, 850])
            values = np.stack([np.zeros_like(values), values], axis=1)
        file[variable] = values


def write_classic(path: Path, variable: str, values: np.ndarray, hours: np.ndarray) -> None:
    """Packed in shorts, as archives often are: value = offset + scale · short."""
    if variable == "r":
        values = np.stack([np.zeros_like(values), values], axis=1)
    with netcdf_file(path, "w") as file:
        names = ("time", "level", "lat", "lon") if variable == "r" else ("time", "lat", "lon")
        for name, size in zip(names, values.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("time", "i4", ("time",))[:] = hours
        file.variables["time"].units = UNITS
        item = file.createVariable(variable, "f4", names)
        item[:] = (values - 100) / 2
        item.scale_factor, item.add_offset = 2.0, 100.0
