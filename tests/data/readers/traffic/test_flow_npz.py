"""Flow in npz files: test is the last file, no window crosses files, wrong files are named."""

import numpy as np
import pytest

from stbench.data import load_benchmark, open_dataset
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec
from tests.fixtures import nyctaxi30
from tests.support import flow_layout

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=3, width=3)


def build(folder, hold_out=True, **options):
    spec = load_benchmark("nyctaxi30").dataset
    values = DatasetSpec(reader=spec.reader, options=spec.options | options)
    return open_dataset("nyctaxi30", values, SHAPE, (folder,), hold_out)


def numbers(dataset, split):
    return flow_layout.numbers(dataset.to_physical(split.clips(np.arange(len(split)), 0)).numpy())


@pytest.mark.parametrize("hold_out", [True, False])
def test_the_last_file_is_the_test_split(tmp_path, hold_out):
    nyctaxi30.write(tmp_path / "nyctaxi30", SHAPE.frame)
    dataset = build(tmp_path, hold_out)
    test = numbers(dataset, dataset.test)
    assert (np.sort(test[:, 0]) == 1000 + np.arange(48 - 7)).all()
    train, val = numbers(dataset, dataset.train), numbers(dataset, dataset.val)
    assert (np.diff(train, axis=1) == 1).all()
    assert train.max() < 1000
    if hold_out:
        assert train.max() < val.min()
        assert len(val) == round((96 - 7) * 0.1)
        assert len(train) == 96 - 7 - len(val) - 7
    else:
        np.testing.assert_array_equal(val, test)
        assert len(train) == 96 - 7


def test_frames_know_their_time(tmp_path):
    nyctaxi30.write(tmp_path, SHAPE.frame)
    dataset = build(tmp_path)
    seconds = dataset.test.times(np.array([5, 0]))
    assert seconds.dtype == np.int64
    stamps = seconds.astype("M8[s]")
    assert str(stamps[0, 0]) == "2016-03-04T02:30:00"
    assert (np.diff(seconds, axis=1) == 1800).all()
    assert str(dataset.train.times(np.array([0])).astype("M8[s]")[0, 7]) == "2016-01-01T03:30:00"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-400]), "cannot be read as npz"),
        (lambda path: np.savez(path, data=np.ones(3)), "lacks the key 'flow'; it holds: data"),
        (lambda path: np.savez(path, flow=np.ones((20, 2, 3, 3))), r"shape \(20, 2, 3, 3\), expected \(T, 3, 3, 2\)"),
        (lambda path: np.savez(path, flow=np.full((20, 3, 3, 2), np.nan)), "frame 0 of 'flow' holds NaN"),
    ],
)
def test_wrong_files(tmp_path, write, message):
    nyctaxi30.write(tmp_path, SHAPE.frame)
    write(tmp_path / nyctaxi30.NAMES[1])
    with pytest.raises(UserError, match=message):
        build(tmp_path)


def test_undated_files_need_their_days(tmp_path):
    with pytest.raises(UserError, match="npz files need one of first_days each: 2 files, 1"):
        build(tmp_path, first_days=["2016-01-01"])


def test_one_file_cannot_be_split(tmp_path):
    nyctaxi30.write(tmp_path, SHAPE.frame)
    with pytest.raises(UserError, match="the last file is the test split, so at least two files are needed"):
        build(tmp_path, files=nyctaxi30.NAMES[:1], first_days=["2016-01-01"])


def test_real_files(shared_dir):
    benchmark = load_benchmark("nyctaxi30")
    dataset = open_dataset("nyctaxi30", benchmark.dataset, benchmark.shape, (shared_dir / "data",), True)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (2708, 302, 1289)
    everything = np.arange(len(dataset.train))
    counts = dataset.to_physical(dataset.train.clips(everything, 0))
    assert (counts - counts.round()).abs().max() < 0.01
    assert counts.max().round() == 1518
    by_hour = np.zeros(24)
    np.add.at(by_hour, dataset.train.times(everything) // 3600 % 24, counts.sum((2, 3, 4)).numpy())
    assert 3 <= by_hour.argmin() <= 5  # the city sleeps: the dates given to the undated file are right
