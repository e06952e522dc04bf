"""Missing values are never data: declared ones of every format, and undeclared fill values."""

import h5py
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from scipy.io import netcdf_file

from stbench.data.formats import open_recordings
from stbench.data.frame_cache.missing import missing_cells
from stbench.errors import UserError

TRUTH = np.round(280 + np.random.default_rng(0).normal(0, 5, (30, 8, 9)), 2)
HOLE = np.zeros(TRUTH.shape, bool)
HOLE[:, :2, :3] = True


def decoded(path):
    (recording,) = open_recordings([path], path.parent)
    return np.concatenate(list(recording.blocks()))[..., 0]


def packed(fill, dtype=np.int16):
    values = np.round((TRUTH - 280) / 0.01).astype(dtype)
    values[HOLE] = fill
    return values


def with_h5py(path, values, attributes):
    with h5py.File(path, "w") as file:
        file["t2m"] = values
        file["t2m"].attrs.update(attributes)


def with_scipy(path, values, attributes):
    with netcdf_file(path, "w") as file:
        for name, size in zip(("time", "lat", "lon"), values.shape, strict=True):
            file.createDimension(name, size)
        item = file.createVariable("t2m", values.dtype, ("time", "lat", "lon"))
        item[:] = values
        for name, value in attributes.items():
            setattr(item, name, value)


SCALE = {"scale_factor": 0.01, "add_offset": 280.0}


@pytest.mark.parametrize("writer", [with_h5py, with_scipy])
@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (packed(-32767), SCALE | {"_FillValue": np.int16(-32767)}),
        (packed(-32767), SCALE | {"missing_value": np.int16(-32767)}),
        (packed(-20000), SCALE | {"valid_min": np.int16(-10000)}),
        (packed(20000), SCALE | {"valid_max": np.int16(10000)}),
        (packed(20000), SCALE | {"valid_range": np.array([-10000, 10000], np.int16)}),
        (np.where(HOLE, 1e20, TRUTH), {"_FillValue": 1e20}),
    ],
    ids=["fill", "missing", "min", "max", "range", "float"],
)
def test_declared_values_become_nan(tmp_path, writer, values, attributes):
    pytest.importorskip("xarray")
    path = tmp_path / ("a.h5" if writer is with_h5py else "a.nc")
    writer(path, values, attributes)
    seen = decoded(path)
    np.testing.assert_array_equal(np.isnan(seen), HOLE)
    np.testing.assert_allclose(seen[~HOLE], TRUTH[~HOLE], atol=2e-4)


def test_unsigned_bytes(tmp_path):
    pytest.importorskip("xarray")
    stored = np.arange(30 * 8 * 9).reshape(30, 8, 9).astype(np.uint8)
    with_scipy(tmp_path / "a.nc", stored.view(np.int8), {"_Unsigned": "true", "_FillValue": np.int8(-1)})
    seen = decoded(tmp_path / "a.nc")
    np.testing.assert_array_equal(np.isnan(seen), stored == 255)
    np.testing.assert_array_equal(seen[stored != 255], stored[stored != 255])


def test_without_the_extra_such_a_file_is_refused_by_name(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("stbench.data.formats.extras.import_module", absent)
    with_h5py(tmp_path / "a.nc", packed(-32767), SCALE | {"_FillValue": np.int16(-32767)})
    with pytest.raises(UserError, match=r"a\.nc: t2m declares missing .*_FillValue.*pip install 'stbench\[weather\]'"):
        decoded(tmp_path / "a.nc")
    with_h5py(tmp_path / "b.nc", packed(0), SCALE | {"_FillValue": np.float32("nan")})
    assert decoded(tmp_path / "b.nc").shape == TRUTH.shape  # NaN needs no decoding


def test_geotiff_nodata(tmp_path):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[42113] = "-9999"
    info.tagtype[42113] = 2
    for number in range(3):
        pixels = np.where(HOLE[0], -9999, TRUTH[number]).astype(np.float32)
        Image.fromarray(pixels).save(tmp_path / f"f{number}.tif", tiffinfo=info)
    (recording,) = open_recordings(sorted(tmp_path.iterdir()), tmp_path)
    seen = np.concatenate(list(recording.blocks()))[..., 0]
    np.testing.assert_array_equal(np.isnan(seen), HOLE[:3])


@pytest.mark.parametrize("fill", [1e20, 9.96921e36, -9999, -9999.9, 9999, 1e30, -32768, 1e15, np.nan, np.inf])
def test_undeclared_fill_values_are_missing(fill):
    values = np.where(HOLE, fill, TRUTH).astype(np.float32)[..., None]
    np.testing.assert_array_equal(missing_cells(values)[..., 0], HOLE)


@pytest.mark.parametrize(
    "values",
    [TRUTH, TRUTH * 1e30, np.linspace(-9999, 9999, 30 * 72).reshape(TRUTH.shape), np.zeros(TRUTH.shape)],
    ids=["plain", "huge", "range that ends in it", "zeros"],
)
def test_measured_values_are_none(values):
    assert missing_cells(values.astype(np.float32)[..., None]) is None
