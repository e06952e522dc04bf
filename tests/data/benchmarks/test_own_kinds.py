"""Data that used to be misread without a word: read right, or refused with what to do."""

import h5py
import numpy as np
import pytest

from stbench.errors import UserError
from tests.data.benchmarks.test_own_data import frames_of, numbered, opened

DAY = np.datetime64("2019-12-01") + np.arange(200)


def parts(tmp_path, *bounds, folder="", values=None):
    """One daily series in a file for each part (start, stop)."""
    values = numbered(200) if values is None else values
    (tmp_path / folder).mkdir(exist_ok=True)
    for start, stop in bounds:
        np.savez(tmp_path / folder / f"part{start}.npz", field=values[start:stop], time=DAY[start:stop])


def test_a_series_in_several_files_is_split_by_time(tmp_path):
    parts(tmp_path, (31, 120), (0, 31), (120, 200))
    _, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert "one series in 3 parts, put together by time" in dict(dataset.understood).values()
    assert "times found: 200, 2019-12-01 00:00 to 2020-06-17 00:00, step 1 day, no gaps" in dataset.report
    for split, first, last in (("train", 0, 139), ("val", 140, 159), ("test", 160, 199)):
        windows = frames_of(dataset, split)
        assert (windows[:, 0] == np.arange(first, last - 3)).all()  # those across files among them
        assert (np.diff(windows, axis=1) == 1).all()


def test_files_of_several_places_are_not_joined(tmp_path):
    for place in ("north", "south"):
        parts(tmp_path, (0, 200), folder=place)
    _, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert "of 2 recordings" in dataset.report
    assert len(dataset.test) == 2 * (40 - 4)


@pytest.mark.parametrize("name", ["{place}/{part}", "{place}_{part}", "{part}/{place}"])
def test_several_places_in_several_files_are_a_series_each(tmp_path, name):
    """The place is in the folder or in the name, the part of the series in the other or in a number."""
    for place in ("north", "south"):
        for part, span in enumerate((slice(0, 100), slice(100, 200))):
            path = tmp_path / name.format(place=place, part=part)
            path.parent.mkdir(exist_ok=True)
            np.savez(path.with_suffix(".npz"), field=numbered(200)[span], time=DAY[span])
    _, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert "of 2 recordings" in dataset.report
    assert set(frames_of(dataset, "test").ravel()) == set(range(160, 200))


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_differences_that_float32_cannot_hold_are_refused(tmp_path, scale):
    np.save(tmp_path / "a.npy", numbered(100).astype(float) / 50 + 1e7)
    with pytest.raises(UserError, match=r"lies between 1000000\d and 1000000\d\. .*subtract a constant"):
        opened(tmp_path, t_in=2, t_out=2, scale=scale)
    np.save(tmp_path / "a.npy", numbered(100).astype(float) + 1e5)
    opened(tmp_path, t_in=2, t_out=2, scale=scale)


def test_files_that_overlap_are_refused(tmp_path):
    parts(tmp_path, (0, 110), (100, 200))
    with pytest.raises(UserError, match=r"part100\.npz begins at 2020-03-10 .*, before .*part0\.npz ends"):
        opened(tmp_path, t_in=3, t_out=2)


@pytest.mark.parametrize("several_files", [True, False])
def test_several_variables_are_channels(tmp_path, several_files):
    u, v = numbered(100), numbered(100) + 1000
    if several_files:
        for name, values in (("u", u), ("v", v)):
            np.savez(tmp_path / f"{name}.npz", **{name: values}, time=DAY[:100])
    else:
        np.savez(tmp_path / "a.npz", u=u, v=v, time=DAY[:100])
    benchmark, dataset = opened(tmp_path, t_in=2, t_out=2, variable=("v", "u"))
    assert benchmark.shape.frame == (2, 16, 12)
    clip = dataset.to_physical(dataset.test.clips(np.array([0]), 0))[0]
    np.testing.assert_allclose(clip.numpy(), np.stack([v[80:84], u[80:84]], axis=1), rtol=1e-5)


def test_splits_that_take_turns_in_time_are_refused(tmp_path):
    for start in range(0, 200, 20):
        parts(tmp_path, (start, start + 20), folder="test" if start % 60 == 20 else "train")
    with pytest.raises(UserError, match="training and test frames take turns in time, 3 times"):
        opened(tmp_path, t_in=3, t_out=2)


def test_few_test_clips_and_one_kind_of_them_are_warned_of(tmp_path):
    for kind in ("run", "walk"):
        (tmp_path / kind).mkdir()
        for number in range(8):
            np.save(tmp_path / kind / f"{number}.npy", numbered(5))
    _, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert len(dataset.test) == 3
    assert "WARNING: only 3 test clips" in dataset.report
    assert "WARNING: all test clips are of one kind (walk), training holds run, walk" in dataset.report


PAIRS = {
    "npy": lambda p: [np.save(p / f"{name}.npy", numbered(30)) for name in "XY"],
    "npy by split": lambda p: [
        np.save(p / f"{name}_{split}.npy", numbered(30)) for name in "XY" for split in ("train", "test")
    ],
    "inputs and targets": lambda p: [np.save(p / f"{name}.npy", numbered(90)) for name in ("inputs", "targets")],
    "split first": lambda p: [
        np.save(p / f"{split}_{name}.npy", numbered(90)) for name in "xy" for split in ("train", "test")
    ],
    "npz of past and future": lambda p: np.savez(p / "a.npz", past=numbered(90), future=numbered(90)),
    "npz": lambda p: np.savez(p / "a.npz", **{f"{n}_{s}": numbered(30) for n in "XY" for s in ("train", "test")}),
}


@pytest.mark.parametrize("write", PAIRS.values(), ids=PAIRS)
def test_pairs_of_past_and_future_are_refused(tmp_path, write):
    write(tmp_path)
    with pytest.raises(UserError, match=r"numpy\.concatenate\(\[X, Y\], axis=1\)"):
        opened(tmp_path, t_in=3, t_out=2)


@pytest.mark.parametrize(("largest", "divisor"), [(1, 1), (7, 7), (200, 255)])
def test_bytes_are_scaled_by_what_they_hold(tmp_path, largest, divisor):
    values = np.random.default_rng(0).integers(0, largest + 1, (100, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    assert dataset.scaling.scale == (divisor,)
    np.testing.assert_allclose(dataset.test.clips(np.array([0]), 0)[0, :, 0].numpy(), values[80:84] / divisor)
    assert (f"values scaled by their largest in training, {largest}, and not by 255" in dataset.report) == (
        divisor != 255
    )


def levels(tmp_path):
    """Geopotential (T, L, H, W): the value is level + frame."""
    held = np.array([1000, 850, 500, 300])
    values = numbered(100)[:, None] + held[:, None, None].astype(np.float32)
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file["z"], file["level"] = values, held
        for number, name in enumerate(("time", "level", "lat", "lon")):
            file["z"].dims[number].label = name


def test_a_level_is_chosen_by_its_value(tmp_path):
    levels(tmp_path)
    with pytest.raises(UserError, match=r"z has 4 levels \(1000, 850, 500, 300; .* --level 1000, .*--layout TCHW"):
        opened(tmp_path, t_in=2, t_out=2)
    with pytest.raises(UserError, match=r"lacks the level 700; it holds: 1000, 850, 500, 300"):
        opened(tmp_path, t_in=2, t_out=2, level=700)
    _, dataset = opened(tmp_path, t_in=2, t_out=2, level=500)
    assert (frames_of(dataset, "test")[0] == np.arange(580, 584)).all()
    assert dict(dataset.understood)["level"] == "500 of 4 (1000, 850, 500, 300)"
    benchmark, _ = opened(tmp_path, t_in=2, t_out=2, layout="TCHW")
    assert benchmark.shape.channels == 4


def test_members_of_an_ensemble_are_refused_or_clips(tmp_path):
    values = np.stack([numbered(60) + 100 * member for member in range(12)], axis=1)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["t2m"] = values[:, :, None]
        for number, name in enumerate(("time", "number", "level", "lat", "lon")):
            file["t2m"].dims[number].label = name
    with pytest.raises(UserError, match=r"\(60, 12, 1, 16, 12\).*--layout"):
        opened(tmp_path, t_in=2, t_out=2)
    _, dataset = opened(tmp_path, t_in=2, t_out=2, layout="TNCHW")
    assert "of 12 recordings" in dataset.report
    assert (frames_of(dataset, "test")[0] == np.arange(1000, 1004)).all()


HOUR = np.datetime64("2016-01-01T00") + np.concatenate([np.arange(90), np.arange(100, 200)])


def dated_h5(path, dates):
    with h5py.File(path / "a.h5", "w") as file:
        file["data"], file["date"] = numbered(190), dates


TIMES = {
    "HDF5 date": lambda p: dated_h5(
        p, np.char.replace(np.char.replace(HOUR.astype("U"), "-", ""), "T", "").astype("S")
    ),
    "datetime64": lambda p: np.savez(p / "a.npz", x=numbered(190), time=HOUR),
    "seconds, float": lambda p: np.savez(p / "a.npz", x=numbered(190), time=HOUR.astype("M8[s]").astype(float)),
    "seconds, int": lambda p: np.savez(p / "a.npz", x=numbered(190), t=HOUR.astype("M8[s]").astype(int)),
    "ISO text": lambda p: np.savez(p / "a.npz", x=numbered(190), time=HOUR.astype("U")),
}


@pytest.mark.parametrize("write", TIMES.values(), ids=TIMES)
def test_gaps_are_seen_however_times_are_written(tmp_path, write):
    write(tmp_path)
    _, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert "times found: 190, 2016-01-01 00:00 to 2016-01-09 07:00, step 1 h, 1 gap" in dataset.report
    train = frames_of(dataset, "train")
    assert len(train) == (90 - 4) + (133 - 90 - 4)
    assert not ((train[:, 0] < 90) & (train[:, -1] >= 90)).any()
