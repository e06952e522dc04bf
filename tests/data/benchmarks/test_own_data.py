"""A user's own files as a dataset: layouts, lengths, splits, scales, and rejected data."""

import math
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from stbench.data import dataset_spec, open_dataset
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.errors import UserError


def opened(path, protocol="paper", **options):
    benchmark = custom_benchmark(str(path), CustomOptions.parse(options, "flags"))
    chosen = benchmark.protocols[protocol]
    shape = chosen.shape or benchmark.shape
    return benchmark, open_dataset(benchmark.name, dataset_spec(benchmark, chosen), shape, (), True)


def frames_of(dataset, split):
    """Numbers of the frames: each carries its own in its first pixel."""
    clips = getattr(dataset, split)
    return np.rint(dataset.to_physical(clips.clips(np.arange(len(clips)), 0)).numpy()[:, :, 0, 0, 0]).astype(int)


def numbered(count, height=16, width=12, dtype=np.float32):
    """Frames (T, H, W) whose first pixel is their number."""
    made = np.random.default_rng(0).uniform(0, 50, (count, height, width)).astype(dtype)
    made[:, 0, 0] = np.arange(count)
    return made


LAYOUTS = {
    "THW": lambda x: x,
    "THWC": lambda x: np.stack([x, x + 1], -1),
    "TCHW": lambda x: np.stack([x, x + 1, x + 2], 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_one_series_is_split_by_time(tmp_path, layout, suffix):
    series = LAYOUTS[layout](numbered(200))
    np.save(tmp_path / "a.npy", series) if suffix == "npy" else np.savez(tmp_path / "a.npz", field=series)
    benchmark, dataset = opened(tmp_path, t_in=3, t_out=2)
    assert benchmark.shape.channels == {"THW": 1, "THWC": 2, "TCHW": 3}[layout]
    train, val, test = (frames_of(dataset, split) for split in ("train", "val", "test"))
    assert (train[0, 0], train[-1, -1]) == (0, 139)
    assert (val[0, 0], val[-1, -1]) == (140, 159)
    assert (test[0, 0], test[-1, -1]) == (160, 199)
    for windows in (train, val, test):
        assert (np.diff(windows, axis=1) == 1).all()
        assert (np.diff(windows[:, 0]) == 1).all()


@pytest.mark.parametrize("layout", ["NTHW", "NTHWC", "NTCHW"])
def test_clips_are_split_whole(tmp_path, layout):
    clips = numbered(20 * 12).reshape(20, 12, 16, 12)
    clips = {"NTHW": clips, "NTHWC": clips[..., None], "NTCHW": clips[:, :, None]}[layout]
    np.save(tmp_path / "clips.npy", clips)
    benchmark, dataset = opened(tmp_path, shares=(0.6, 0.2, 0.2), layout=layout)
    assert benchmark.shape.length == 12
    for split, first, last in (("train", 0, 12), ("val", 12, 16), ("test", 16, 20)):
        seen = frames_of(dataset, split)
        np.testing.assert_array_equal(seen, np.arange(first * 12, last * 12).reshape(-1, 12))


def test_scaling_learns_from_training_frames_alone(tmp_path):
    series = numbered(100)
    np.save(tmp_path / "a.npy", series)
    _, calm = opened(tmp_path, t_in=2, t_out=2)
    series[95, 3, 3] = 1e4
    np.save(tmp_path / "a.npy", series)
    _, wild = opened(tmp_path, t_in=2, t_out=2)
    assert calm.scaling == wild.scaling
    train = calm.train.clips(np.arange(len(calm.train)), 0)
    assert (train.min(), train.max()) == (0, 1)
    assert wild.test.clips(np.arange(len(wild.test)), 0).max() > 50
    _, scores = opened(tmp_path, t_in=2, t_out=2, scale="zscore")
    training = series[:70].astype(np.float64)
    np.testing.assert_allclose(scores.scaling.offset, training.mean(), rtol=1e-6)
    np.testing.assert_allclose(scores.scaling.scale, training.std(), rtol=1e-6)


def test_zscores_have_no_range(tmp_path):
    np.save(tmp_path / "a.npy", numbered(100))
    benchmark, _ = opened(tmp_path, scale="zscore")
    assert benchmark.value_range is None
    assert benchmark.data_range is None
    metrics = benchmark.protocols["quick"].evaluation.metrics
    assert not {"psnr", "ssim"} & set(metrics)
    assert {"mse_frame", "mae_physical", "rmse_physical"} <= set(metrics)


def test_subfolders_name_the_splits(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", numbered(30) + 100 * number)
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    for number, split in enumerate(("train", "val", "test")):
        assert set(frames_of(dataset, split).ravel() // 100) == {number}


@pytest.mark.parametrize(
    "folders",
    [("train", "test"), ("Training", "Testing"), ("TRAIN", "validation", "Test"), ("train.npy", "test.npy")],
)
def test_what_is_named_test_is_never_trained_on(tmp_path, folders):
    for number, name in enumerate(folders):
        path = tmp_path / name if "." in name else tmp_path / name / "a.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, numbered(40) + 100 * (2 if number == len(folders) - 1 else number))
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    train, val, test = (set(frames_of(dataset, split).ravel()) for split in ("train", "val", "test"))
    assert test == set(range(200, 240))
    assert train | val == set(range(40)) | (set(range(100, 140)) if len(folders) == 3 else set())
    assert not train & val
    assert ("the last 0.125 of training" in dataset.report) == (len(folders) == 2)


def test_validation_is_cut_from_training_by_whole_clips_where_there_are_many(tmp_path):
    clips = numbered(24 * 12).reshape(24, 12, 16, 12)
    np.save(tmp_path / "train.npy", clips[:16])
    np.save(tmp_path / "test.npy", clips[16:])
    benchmark, dataset = opened(tmp_path, layout="NTHW")
    assert benchmark.shape.length == 12
    for split, first, last in (("train", 0, 14), ("val", 14, 16), ("test", 16, 24)):
        np.testing.assert_array_equal(frames_of(dataset, split), np.arange(first * 12, last * 12).reshape(-1, 12))


@pytest.mark.parametrize(
    ("folders", "options", "message"),
    [
        (("train", "val"), {}, "found \\(train, val\\), and nothing else: no test"),
        (("train", "tset"), {}, "found \\(train\\), and tset: no test"),
        (("train", "tests2"), {}, "and tests2: no test"),
        (("train", "test", "vall"), {}, "and vall: nearly a split's name"),
        (("train", "test"), {"shares": (0.5, 0.25, 0.25)}, "--split: the folders .* Leave --split out"),
        (("all/train", "all/test"), {}, "lie deeper"),
    ],
)
def test_split_folders_that_leave_doubt_are_refused(tmp_path, folders, options, message):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
        np.save(tmp_path / name / "a.npy", numbered(40))
    with pytest.raises(UserError, match=message):
        opened(tmp_path, **options)


def test_folders_of_pictures(tmp_path):
    for clip in range(10):
        folder = tmp_path / f"clip{clip}"
        folder.mkdir()
        for number in range(8):  # without leading zeros: frame10 would sort before frame9
            pixels = np.full((17, 22), 10 * clip + number, np.uint8)
            Image.fromarray(pixels).save(folder / f"frame{number + 5}.png")
    benchmark, dataset = opened(tmp_path)
    assert benchmark.shape.frame == (1, 17, 22)  # every pixel; methods pad what does not divide
    np.testing.assert_array_equal(frames_of(dataset, "test"), [[10 * c + t for t in range(8)] for c in (8, 9)])
    assert benchmark.value_range == (0.0, 1.0)


def test_no_clip_crosses_a_gap_in_time(tmp_path):
    series = numbered(120)
    stamps = np.datetime64("2020-01-01T00") + np.arange(120)
    stamps[50:] += 5
    np.savez(tmp_path / "a.npz", values=series, time=stamps.astype("M8[h]"))
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    train = frames_of(dataset, "train")
    assert not ((train[:, 0] < 50) & (train[:, -1] >= 50)).any()
    assert len(train) == (50 - 3) + (84 - 50 - 3)
    times = dataset.test.times(np.array([0]))
    assert (np.diff(times) == 3600).all()


def test_radar_files(tmp_path):
    raw = np.random.default_rng(1).integers(0, 300, (40, 12, 16)).astype(np.uint16)
    raw[:, 0, :4] = 65535
    for number, picture in enumerate(raw):
        with h5py.File(tmp_path / f"RAD_2010082600{number:02d}.h5", "w") as file:
            group = file.create_group("image1")
            group["image_data"] = picture
            marks = group.create_group("calibration").attrs
            marks["calibration_formulas"] = np.bytes_("GEO=0.01*PV+0.0")
            marks["calibration_missing_data"] = np.array([65535])
    share = 100 * 4 / (12 * 16)
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    assert dataset.incomplete
    assert f"{share:.3g} % of the values are missing and left out of losses and metrics" in dataset.report
    expected = np.where(raw == 65535, np.nan, raw * np.float32(0.01))[3:7, None]
    seen = dataset.to_physical(dataset.train.clips(np.array([3]), 0))[0].numpy()
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    _, dataset = opened(tmp_path, t_in=2, t_out=2, fill=0)
    assert not dataset.incomplete
    assert f"{share:.3g} % of the values were missing and are filled in as asked" in dataset.report
    physical = dataset.to_physical(dataset.train.clips(np.array([3]), 0))[0].numpy()
    expected = raw[3:7, None] * np.float32(0.01)
    expected[:, :, 0, :4] = 0
    np.testing.assert_allclose(physical, expected, atol=1e-6)
    assert str(dataset.train.times(np.array([3]))[0, 0].astype("M8[s]")) == "2010-08-26T00:03:00"


@pytest.mark.parametrize(("quantity", "undetected"), [("DBZH", -32), (b"DBZH", -32), ("RATE", 0)])
def test_odim_files(tmp_path, quantity, undetected):
    """Nothing detected is a measurement: 0 of a rain rate, the lower end of the scale in dBZ."""
    raw = np.arange(8 * 8, dtype=np.uint8).reshape(8, 8)
    for number in range(40):
        with h5py.File(tmp_path / f"a{number}.h5", "w") as file:
            file["dataset1/data1/data"] = raw
            what = file.create_group("dataset1/data1/what").attrs
            what["gain"], what["offset"], what["nodata"], what["undetect"] = 0.5, -32.0, 63.0, 0.0
            what["quantity"] = quantity
    assert "1.56 % of the values are missing and left out" in opened(tmp_path, t_in=2, t_out=2)[1].report
    _, dataset = opened(tmp_path, t_in=2, t_out=2, fill=-40)
    expected = raw * 0.5 - 32
    expected[raw == 63], expected[raw == 0] = -40, undetected
    np.testing.assert_allclose(dataset.to_physical(dataset.train.clips(np.array([0]), 0))[0, 0, 0], expected, atol=1e-5)


def test_quick_shrinks_the_longer_side(tmp_path):
    np.save(tmp_path / "a.npy", numbered(60, 96, 160))
    benchmark, dataset = opened(tmp_path, "quick", t_in=2, t_out=2)
    assert benchmark.shape.frame == (1, 96, 160)
    assert dataset.train.clips(np.array([0]), 0).shape[2:] == (1, 40, 64)


def test_size_covers_and_cuts(tmp_path):
    grid = np.zeros((60, 40, 80), np.uint8)
    grid[:, :, 20:60] = 200
    grid[::2] += 20
    np.save(tmp_path / "a.npy", grid)
    _, dataset = opened(tmp_path, t_in=2, t_out=2, size=(20, 20))
    clip = dataset.to_physical(dataset.train.clips(np.array([0]), 0))[0]
    assert clip[0, 0, :, 1:-1].min() == 220  # the middle square of the picture, its edge blended
    assert clip[1].max() == 200


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda p: None, {}, r"holds nothing readable. Put clips there"),
        (lambda p: np.save(p / "a.npy", numbered(4)), {}, "recordings are too short"),
        (
            lambda p: np.save(p / "a.npy", numbered(40)),
            {"t_in": 9, "t_out": 9},
            "the val split has no clip of 18 frames",
        ),
        (lambda p: np.save(p / "a.npy", np.ones((5, 5))), {}, r"a\.npy has shape \(5, 5\): expected clips"),
        (lambda p: np.save(p / "a.npy", np.full((90, 8, 8), "x")), {}, "holds <U1, expected numbers"),
        (lambda p: np.save(p / "a.npy", np.ones((90, 8, 8))), {"t_in": 2, "t_out": 2}, "nothing to learn"),
        (lambda p: np.savez(p / "a.npz", a=numbered(9), b=numbered(9)), {}, r"2 arrays .* --variable NAME"),
        (lambda p: np.savez(p / "a.npz", a=numbered(9)), {"variable": "q"}, "lacks the array 'q'; it holds: a"),
        (lambda p: (p / "a.npy").write_bytes(b"\x93NUMPY torn"), {}, "cannot be read as npy"),
        (lambda p: (p / "a.mp4").write_bytes(b"no video"), {}, r"a\.mp4 cannot be read as a video"),
        (lambda p: (p / "a.png").write_bytes(b"\x89PNG torn"), {}, r"a\.png cannot be read as a picture"),
        (lambda p: (p / "a.h5").write_bytes(b"torn"), {}, r"a\.h5 cannot be read as HDF5"),
        (lambda p: np.save(p / "a.npy", numbered(90)), {"shares": (0.5, 0.1, 0.1)}, "three shares .* add up to 1"),
        (lambda p: np.save(p / "a.npy", numbered(90)), {"shares": (float("nan"),) * 3}, "three shares .* add up to 1"),
        (
            lambda p: np.save(p / "a.npy", numbered(90)),
            {"variable": "t"},
            r"--variable t: .*a\.npy holds no named arrays",
        ),
        (
            lambda p: np.save(p / "a.npy", np.array([numbered(9), numbered(8)], dtype=object), allow_pickle=True),
            {},
            r"a\.npy holds Python objects \(dtype object\)",
        ),
        (
            lambda p: np.savez(p / "a.npz", a=np.full((9, 8, 8), None), allow_pickle=True),
            {"variable": "a"},
            r"a\.npz holds Python objects \(dtype object\)",
        ),
        (
            lambda p: [np.save(p / f"{c}.npy", np.ones((40, 16, 16, c))) for c in (2, 3)],
            {},
            r"different numbers of channels: 2 \(2\), 3 \(3\)",
        ),
        (lambda p: np.save(p / "a.npy", numbered(90)), {"layout": "NTHW"}, "has 3 axes .* layout NTHW has 4"),
    ],
)
def test_what_cannot_be(tmp_path, make, options, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        opened(tmp_path, **options)


def test_clips_longer_than_the_recordings_are_refused_before_anything_is_decoded(tmp_path):
    np.save(tmp_path / "a.npy", numbered(40))
    with pytest.raises(UserError, match=r"the train split has no clip of 101 frames: its longest .* is 28"):
        custom_benchmark(str(tmp_path), CustomOptions(t_in=100))


def test_recordings_of_different_kinds_are_brought_to_one_and_the_report_says_so(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.integers(0, 255, (60, 48, 40), dtype=np.uint8))
    np.save(tmp_path / "b.npy", rng.integers(0, 255, (60, 32, 32, 3), dtype=np.uint8))
    benchmark, dataset = opened(tmp_path, t_in=2, t_out=2)
    assert benchmark.shape.frame == (3, 32, 32)
    assert "frames of 32×32, 48×40 are brought to 32×32 (cover), of 1, 3 channels to 3" in dataset.report
    (tmp_path / "b.npy").unlink()
    assert "brought to" not in opened(tmp_path, t_in=2, t_out=2)[1].report


def test_hdf5_files_named_after_splits_say_their_split(tmp_path):
    for name in ("train", "test"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = numbered(40) + (100 if name == "test" else 0)
    _, dataset = opened(tmp_path, t_in=2, t_out=2)
    assert set(frames_of(dataset, "test").ravel()) == set(range(100, 140))


def test_no_such_place(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        custom_benchmark(str(tmp_path / "nowhere"), CustomOptions())


@pytest.mark.parametrize(
    ("place", "frames", "channels"),
    [
        ("era5_t2m_uk", 744, 1),
        ("radar_knmi", 92, 1),
        ("video", 341, 3),
        ("video/carphone_pristine.mp4", 120, 3),
        ("video/udacity_solidWhiteRight.mp4", 221, 3),
    ],
)
def test_real_files(shared_dir, place, frames, channels):
    outside = {"fill": 0} if place == "radar_knmi" else {}  # three quarters of its pixels are out of range
    _, dataset = opened(shared_dir / "data" / place, "quick", **outside)
    assert dataset.train.stored.count == frames
    assert dataset.train.clips(np.array([0]), 0).shape[2] == channels
    train, test = np.unique(dataset.train.windows_NT), np.unique(dataset.test.windows_NT)
    assert not np.isin(train, test).any()
    if place == "era5_t2m_uk":
        physical = dataset.to_physical(dataset.train.clips(np.array([0]), 0))
        assert 250 < physical.min() < physical.max() < 310
        assert str(dataset.test.times(np.array([len(dataset.test) - 1]))[0, -1].astype("M8[s]"))[:10] == "2019-03-31"


@pytest.mark.parametrize(
    ("frames", "shares", "clips", "epochs"),
    [
        (600, (0.7, 0.1, 0.2), 417, 3),
        (100, (0.7, 0.1, 0.2), 67, math.ceil(720 / 67)),
        (40, (0.7, 0.1, 0.2), 25, 29),
        (28, (0.5, 0.25, 0.25), 11, 40),
    ],
)
def test_quick_gives_little_data_more_epochs(tmp_path, frames, shares, clips, epochs):
    np.save(tmp_path / "a.npy", numbered(frames))
    benchmark, dataset = opened(tmp_path, "quick", t_in=2, t_out=2, shares=shares)
    assert len(dataset.train) == clips
    assert benchmark.protocols["quick"].training.epochs == epochs
    assert benchmark.protocols["paper"].training.epochs == 100


def test_describing_data_does_not_wait_for_torch():
    code = "import sys, stbench.data.benchmarks.own_data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
