"""KTH, KITTI to Caltech, Human3.6M and WeatherBench in their real layouts, through the pipeline a run uses."""

from itertools import combinations

import numpy as np
import pytest

from stbench.data import dataset_spec, get_protocol, load_benchmark, open_dataset
from stbench.errors import UserError
from stbench.schema import DatasetSpec
from tests import fixtures
from tests.fixtures import human, kitticaltech, kth, weather
from tests.support import coded_pictures

AUGMENT = {"crop": 0.875, "turns": [0.125, 0.5, 0.25, 0.125]}


def build(name, folder, hold_out=True, protocol="quick", **options):
    benchmark = load_benchmark(name)
    chosen = get_protocol(benchmark, protocol)
    spec = dataset_spec(benchmark, chosen)
    values = DatasetSpec(reader=spec.reader, options=spec.options | options)
    return open_dataset(name, values, chosen.shape or benchmark.shape, (folder,), hold_out)


def numbers(split):
    return coded_pictures.numbers(split.clips(np.arange(len(split)), 0).numpy())


@pytest.fixture(scope="module", params=["kth", "kitticaltech", "human"])
def case(request, tmp_path_factory):
    name = request.param
    folder = tmp_path_factory.mktemp(name) / name
    folder.mkdir()
    fixtures.write(name, folder / "data" if name == "human" else folder)
    return name, folder / "data" if name == "human" else folder


@pytest.mark.parametrize("hold_out", [True, False])
def test_no_two_splits_share_a_frame(case, hold_out):
    name, folder = case
    dataset = build(name, folder, hold_out, augment={})
    frames = {s: set(numbers(getattr(dataset, s)).ravel()) for s in ("train", "val", "test")}
    pairs = combinations(frames, 2) if hold_out else [("train", "test")]
    for first, second in pairs:
        assert not frames[first] & frames[second], (first, second)
    assert (frames["val"] == frames["test"]) is not hold_out


def test_clips_are_to_be_had_as_recorded(tmp_path):
    human.write(tmp_path, ".png")
    plain, augmented = build("human", tmp_path, augment={}).train, build("human", tmp_path, augment=AUGMENT).train
    everything = np.arange(len(plain))
    assert (augmented.clips(everything, 0) != plain.clips(everything, 0)).any()
    assert (augmented.unaugmented().clips(everything, 0) == plain.clips(everything, 0)).all()
    assert (augmented.clips(everything, 0) != plain.clips(everything, 0)).any()  # of itself nothing has changed


def test_values_come_back(case):
    name, folder = case
    dataset = build(name, folder)
    clips = dataset.test.clips(np.arange(2), 0)
    assert clips.min() >= 0
    assert clips.max() <= 1
    levels = dataset.to_physical(clips)
    assert (levels - levels.round()).abs().max() < 1e-3
    assert levels.max() > 200
    assert "\n" not in dataset.report
    assert dataset.test.times(np.array([0])) is None


def backwards(frame_of, length, stride):
    """The published way to cut clips: walk back over the frames in use, take a clip where it is unbroken."""
    found, index = [], len(frame_of) - 1
    while index >= length - 1:
        if frame_of[index] - frame_of[index - length + 1] == length - 1:
            found.append(frame_of[index - length + 1])
            index -= stride
        else:
            index -= 1
    return found


@pytest.mark.parametrize(("protocol", "length", "apart"), [("quick", 20, 20), ("paper", 30, 30)])
def test_kth_clips_are_the_published_ones(tmp_path, protocol, length, apart):
    kth.write(tmp_path)
    dataset = build("kth", tmp_path, protocol=protocol)
    used = {"boxing": [*range(70)], "running": [*range(24), *range(30, 60)]}
    for split, persons in {"train": (1, 2), "val": (15,), "test": (17,)}.items():
        expected = [
            kth.first_number(person, action) + start
            for person in persons
            for action, stride in (("boxing", apart), ("running", 3))
            for start in backwards(used[action], length, stride)
        ]
        seen = numbers(getattr(dataset, split))
        assert sorted(seen[:, 0]) == sorted(expected)
        assert (np.diff(seen, axis=1) == 1).all()


def test_kth_needs_the_list_of_frames(tmp_path):
    kth.write(tmp_path)
    (tmp_path / "00sequences.txt").write_text("nothing here")
    with pytest.raises(UserError, match="holds no line of the form"):
        build("kth", tmp_path)
    (tmp_path / "00sequences.txt").unlink()
    with pytest.raises(UserError, match=r"The files of kth are missing: .*00sequences\.txt"):
        build("kth", tmp_path)


def test_drives_and_sets_go_where_they_belong(tmp_path):
    firsts = kitticaltech.write(tmp_path)
    dataset = build("kitticaltech", tmp_path)
    train, val, test = (numbers(getattr(dataset, split)) for split in ("train", "val", "test"))
    assert set(train[:, 0] // 1000 * 1000) == {
        firsts["2011_09_26_drive_0001_sync"],
        firsts["2011_09_29_drive_0004_sync"],
    }
    assert set(val[:, 0] // 1000 * 1000) == {firsts["2011_09_26_drive_0005_sync"]}
    assert (np.diff(train, axis=1) == 1).all()
    assert (np.diff(test, axis=1) == 3).all()
    for place, frames in (("set06/V000", 100), ("set07/V001", 40)):
        kept = [firsts[place] + n for n in range(2, frames, 3)]
        starts = test[(test[:, 0] >= firsts[place]) & (test[:, 0] < firsts[place] + 1000), 0]
        assert starts.tolist() == [kept[n] for n in range(len(kept) - 11, -1, -11)][::-1]


def test_cut_seq_file(tmp_path):
    kitticaltech.write(tmp_path)
    path = tmp_path / "set06" / "V000.seq"
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(UserError, match=r"V000\.seq announces 100 frames and holds \d\d"):
        build("kitticaltech", tmp_path)
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"V000\.seq is not a seq file"):
        build("kitticaltech", tmp_path)


def test_real_kitti_frames(shared_dir):
    """Seven real frames are too few for three splits; the reader's scaling and cutting are what is looked at."""
    from stbench.data.formats import open_recordings
    from stbench.data.frame_cache.resize import FrameSize, fit_frames

    root = shared_dir / "data" / "kitti_tiny"
    (recording,) = open_recordings(sorted(root.rglob("*.png")), root)
    assert (recording.length, recording.frame) == (7, (375, 1242, 3))
    frames = np.concatenate(list(recording.blocks()))
    small = fit_frames(frames, FrameSize(height=128, width=160, channels=3))
    assert small.shape == (7, 3, 128, 160)
    left = (1242 - 375 * 160 / 128) / 2  # what is kept of the width
    middle = frames[:, :, round(left) : round(1242 - left)]
    for channel in range(3):
        assert abs(small[:, channel].mean() - middle[..., channel].mean()) < 1


def test_human_clips_are_those_of_the_lists(tmp_path):
    human.write(tmp_path, ".png")
    dataset = build("human", tmp_path, augment={})
    expected = {"train": ["S1", "S5"], "val": ["S8"], "test": ["S9", "S11"]}
    for split, subjects in expected.items():
        clips = [clip for lines in human.CLIPS.values() for clip in lines if clip[0].split("_")[0] in subjects]
        rows = [human.first_number(camera) + first + 5 * np.arange(8) for camera, first in clips]
        np.testing.assert_array_equal(numbers(getattr(dataset, split)), rows)


def test_only_training_clips_are_augmented(tmp_path):
    human.write(tmp_path)
    plain, augmented = build("human", tmp_path, augment={}), build("human", tmp_path, augment=AUGMENT)
    for split in ("val", "test"):
        every = np.arange(len(getattr(plain, split)))
        assert (getattr(augmented, split).clips(every, 3) == getattr(plain, split).clips(every, 3)).all()
    every = np.arange(len(plain.train))
    assert (augmented.train.clips(every, 0) != plain.train.clips(every, 0)).flatten(1).any(1).all()
    assert (augmented.train.clips(every, 0) != augmented.train.clips(every, 1)).flatten(1).any(1).all()


def test_frames_that_are_not_square_are_not_turned_by_quarters(tmp_path):
    kth.write(tmp_path)
    benchmark = load_benchmark("kth")
    spec = DatasetSpec(reader="recorded", options=benchmark.dataset.options | {"augment": {"turns": [0, 1, 0, 0]}})
    shape = benchmark.shape.model_copy(update={"height": 24, "t_out": 10})
    with pytest.raises(UserError, match="kth: frames of 24×128 cannot be turned by a quarter, only square ones"):
        open_dataset("kth", spec, shape, (tmp_path,), True)


def test_human_lists_that_are_wrong(tmp_path):
    human.write(tmp_path)
    with (tmp_path / "test.txt").open("a") as stream:
        stream.write("images/S9_Walking.60457274_\n")
    with pytest.raises(UserError, match=r"test\.txt, line 3: .* is not 'prefix,first frame,last frame'"):
        build("human", tmp_path)
    human_line = (tmp_path / "test.txt").read_text().splitlines()[0]
    (tmp_path / "test.txt").write_text(f"{human_line.replace(',1', ',7')}\n")
    with pytest.raises(UserError, match="is missing, which the lists name"):
        build("human", tmp_path)


@pytest.mark.parametrize("name", ["weather_t2m", "weather_uv10", "weather_r", "weather_tcc"])
def test_weather(tmp_path, name):
    variables = ("u10", "v10") if name == "weather_uv10" else (name.removeprefix("weather_"),)
    weather.write(tmp_path, variables)
    dataset = build(name, tmp_path)
    years = {"train": range(2010, 2016), "val": range(2016, 2017), "test": range(2017, 2019)}
    per_year = weather.HOURS - 24 + 1
    for split, span in years.items():
        clips = getattr(dataset, split)
        assert len(clips) == per_year * len(span)
        physical = dataset.to_physical(clips.clips(np.arange(len(clips)), 0)).numpy()
        for channel, variable in enumerate(variables):
            labels = np.rint(physical[:, :, channel, 0, 0]).astype(int) + 2_000_000
            assert set(labels[:, 0] // 1000) == set(span)
            assert (np.diff(labels, axis=1) == 1).all()
            truth = weather.field(labels[3, 0] // 1000, variable)
            np.testing.assert_allclose(physical[3, :, channel], truth[labels[3] % 1000], rtol=2e-6, atol=0.01)
        stamps = clips.times(np.array([1])).astype("M8[s]")[0]
        assert str(stamps[0]) == f"{span[0]}-01-01T01:00:00"
        assert (np.diff(stamps).astype(int) == 3600).all()


def test_weather_scores_come_from_the_training_years(tmp_path):
    weather.write(tmp_path)
    dataset = build("weather_t2m", tmp_path)
    train = np.concatenate([weather.field(year, "t2m") for year in range(2010, 2016)]).astype(np.float64)
    np.testing.assert_allclose(dataset.scaling.offset, train.mean(), rtol=1e-6)
    np.testing.assert_allclose(dataset.scaling.scale, train.std(), rtol=1e-6)
    legacy = build("weather_t2m", tmp_path, hold_out=False)
    assert legacy.scaling == dataset.scaling
    assert len(legacy.train) == len(dataset.train)  # 2016 stays out: the published habit trained on 2010-2015


def test_weather_files_that_are_wrong(tmp_path):
    weather.write(tmp_path)
    path = weather.path_of(tmp_path, "t2m", 2014)
    good = path.read_bytes()
    weather.write_hdf5(path, "t2m", weather.field(2015, "t2m"), weather.hours_of(2015))
    with pytest.raises(UserError, match="hold the same times; one of them is misnamed or of the wrong year"):
        build("weather_t2m", tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="no file holds the year 2014"):
        build("weather_t2m", tmp_path)
    path.write_bytes(good[:-9000])
    with pytest.raises(UserError, match=r"2014_5\.625deg\.nc cannot be read as NetCDF \(cut short"):
        build("weather_t2m", tmp_path)
    path.write_bytes(good)
    with pytest.raises(UserError, match="lacks the variable 'tcc'; it holds: t2m"):
        build("weather_t2m", tmp_path, variables=["tcc"])
