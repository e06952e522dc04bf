"""Zarr stores written by xarray: axes and times told by names, levels, packing, fingerprints and damage."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from stbench import UserError
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.data.dataset import open_dataset
from stbench.data.formats import open_recordings
from stbench.data.formats.fields import AUTO, Choice
from stbench.data.formats.listing import files_below

xarray = pytest.importorskip("xarray", reason="needs the extra 'weather'")
pytest.importorskip("zarr", reason="needs the extra 'weather'")

HOURS, LEVELS, LON, LAT = 40, (500, 850), 12, 8
VALUES = 250 + 10 * np.random.default_rng(0).standard_normal((HOURS, len(LEVELS), LON, LAT)).astype(np.float32)
TIMES = np.datetime64("2020-01-01T00", "ns") + np.arange(HOURS) * np.timedelta64(6, "h")


def write(path: Path, zarr_format: int = 3, **encoding: object) -> None:
    """A store as WeatherBench 2 has them: time, level, longitude, latitude; a surface field beside it."""
    grid = {
        "time": TIMES,
        "level": list(LEVELS),
        "longitude": np.arange(LON) * 30.0,
        "latitude": np.linspace(-70, 70, LAT),
    }
    fields = {
        "temperature": (("time", "level", "longitude", "latitude"), VALUES, {"units": "K"}),
        "2m_temperature": (("time", "longitude", "latitude"), VALUES[:, 0] + 5, {"units": "K"}),
    }
    chunks = {"chunks": (7, len(LEVELS), LON, LAT)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr, on what its third format does not specify yet
        xarray.Dataset(fields, coords=grid).to_zarr(
            path, zarr_format=zarr_format, encoding={"temperature": {**chunks, **encoding}}
        )


def decoded(path: Path, variable: str, choice: Choice = AUTO) -> np.ndarray:
    (recording,) = open_recordings([path], path.parent, variable=variable, choice=choice)
    return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_is_read_as_it_was_written(zarr_format: int, tmp_path: Path) -> None:
    store = tmp_path / "era5.zarr"
    write(store, zarr_format)
    (recording,) = open_recordings([store], tmp_path, variable="2m_temperature")
    assert (recording.length, recording.frame, recording.name) == (HOURS, (LAT, LON, 1), "era5")
    assert recording.seconds is not None
    assert (recording.seconds == TIMES.astype("datetime64[s]").astype(np.int64)).all()
    expected = (VALUES[:, 0] + 5).transpose(0, 2, 1)[..., None]
    np.testing.assert_array_equal(np.concatenate(list(recording.blocks())), expected)
    at_850 = VALUES[:, 1].transpose(0, 2, 1)[..., None]
    np.testing.assert_array_equal(decoded(store, "temperature@850"), at_850)
    np.testing.assert_array_equal(decoded(store, "temperature", Choice(level=850)), at_850)
    with pytest.raises(UserError, match="has 2 levels"):
        decoded(store, "temperature")
    with pytest.raises(UserError, match=r"lacks the variable 'humidity'; it holds: .*temperature"):
        decoded(store, "humidity")


def test_packed_values_are_unpacked(tmp_path: Path) -> None:
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 250.0, "_FillValue": -32768}
    write(tmp_path / "a.zarr", 2, **packing)
    expected = VALUES[:, 0].transpose(0, 2, 1)[..., None]
    np.testing.assert_allclose(decoded(tmp_path / "a.zarr", "temperature@500"), expected, atol=0.0051)


@pytest.mark.parametrize("inside", [False, True])
def test_a_store_is_one_file_of_own_data(inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named itself, or in a folder; its parts are no data of their own, and a changed part is other data."""
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    store = tmp_path / "data" / "era5.zarr"
    store.parent.mkdir()
    write(store)
    assert files_below(store.parent, (".zarr",)) == [store]

    def opened(place: Path):
        options = CustomOptions(t_in=2, t_out=1, variable=("2m_temperature",))
        benchmark = custom_benchmark(str(place), options)
        assert benchmark.units == "K"
        return open_dataset(benchmark.name, benchmark.dataset, benchmark.shape, (), hold_out=True)

    place = store.parent if inside else store
    splits = opened(place)
    clip = splits.to_physical(splits.test.clips(np.array([0]), 0))[0, :, 0].numpy()
    truth = (VALUES[:, 0] + 5).transpose(0, 2, 1)
    assert min(np.abs(truth[start : start + 3] - clip).max() for start in range(HOURS - 2)) < 1e-3
    chunk = max(
        (part for part in (store / "2m_temperature").rglob("*") if part.is_file()), key=lambda p: p.stat().st_size
    )
    other = np.roll(VALUES, 1, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xarray.Dataset({"2m_temperature": (("time", "longitude", "latitude"), other[:, 0])}).to_zarr(store, mode="r+")
    assert chunk.is_file()
    assert opened(place).fingerprint != splits.fingerprint


def test_damage_names_the_store(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    write(store)
    (store / "zarr.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.zarr cannot be read as zarr"):
        decoded(store, "temperature@500")
    empty = tmp_path / "b.zarr"
    empty.mkdir()
    with pytest.raises(UserError, match=r"b\.zarr cannot be read as zarr"):
        decoded(empty, "temperature@500")


def test_a_weather_benchmark_reads_a_store_named_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--set dataset.files=…`` and ``variables`` point the reader of the weather benchmarks at a store."""
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "weather_t2m" / "wb2.zarr")
    from stbench.data import load_benchmark
    from stbench.schema import ClipShape
    from stbench.settings import merge

    spec = load_benchmark("weather_t2m").dataset
    changes = {
        "files": ["wb2.zarr"],
        "variables": ["2m_temperature"],
        "split": {"kind": "fraction", "shares": [0.6, 0.2, 0.2]},
    }
    options = {**merge(spec.options, changes), "split": changes["split"]}
    shape = ClipShape(t_in=2, t_out=2, channels=1, height=LAT, width=LON)
    splits = open_dataset("weather_t2m", spec.model_copy(update={"options": options}), shape, (tmp_path,), True)
    clips = splits.to_physical(splits.train.clips(np.array([0, 1]), 0))
    truth = (VALUES[:, 0] + 5).transpose(0, 2, 1)
    np.testing.assert_allclose(clips[0, :, 0].numpy(), truth[:4], atol=1e-3)
    np.testing.assert_allclose(clips[1, :, 0].numpy(), truth[1:5], atol=1e-3)
