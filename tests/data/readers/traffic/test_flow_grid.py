"""Flow grids read from tiny files in the real layouts; every frame carries its number, so clips can be read back."""

import h5py
import numpy as np
import pytest

from stbench.data import load_benchmark, open_dataset
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec
from tests.fixtures import nyctaxi30, taxibj, taxinyc
from tests.support import flow_layout

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=3, width=3)


@pytest.fixture(scope="module", params=["taxibj", "taxinyc"])
def case(request, tmp_path_factory):
    """(builder, benchmark name, folder, expected) of one benchmark's tiny files."""
    name = request.param
    builder = {"taxibj": taxibj, "taxinyc": taxinyc}[name]
    folder = tmp_path_factory.mktemp(name)
    return builder, name, folder, builder.write(folder, SHAPE.frame)


def build(name, folder, hold_out=True, shape=SHAPE, **options):
    spec = load_benchmark(name).dataset
    return open_dataset(
        name, DatasetSpec(reader=spec.reader, options=spec.options | options), shape, (folder,), hold_out
    )


def all_numbers(dataset, split):
    """Frame numbers (N, T) of a split's clips."""
    clips = split.clips(np.arange(len(split)), 0)
    return flow_layout.numbers(dataset.to_physical(clips).numpy())


def options_for(name):
    return {"split": {"kind": "last_windows", "test": 100}} if name == "taxibj" else {}


@pytest.mark.parametrize("hold_out", [True, False])
def test_windows_are_exactly_those_that_cross_nothing(case, hold_out):
    _, name, folder, expected = case
    dataset = build(name, folder, hold_out, **options_for(name))
    splits = {"train": dataset.train, "test": dataset.test} | ({"val": dataset.val} if hold_out else {})
    seen = np.concatenate([all_numbers(dataset, split) for split in splits.values()])
    for window in seen:
        places = [expected.place[number] for number in window]
        assert len({file for file, _ in places}) == 1
        times = [time for _, time in places]
        assert times == list(range(times[0], times[0] + SHAPE.length))
    occupied = set(expected.place.values())
    possible = [place for place in occupied if all((place[0], place[1] + t) in occupied for t in range(SHAPE.length))]
    straddling = int(dataset.report.split(" windows that share")[0].rsplit(" ", 1)[1])
    assert len(seen) + straddling == len(possible)
    assert len({tuple(window) for window in seen}) == len(seen)


@pytest.mark.parametrize("hold_out", [True, False])
def test_no_two_splits_share_a_frame(case, hold_out):
    _, name, folder, _ = case
    dataset = build(name, folder, hold_out, **options_for(name))
    train, val, test = (set(all_numbers(dataset, s).ravel()) for s in (dataset.train, dataset.val, dataset.test))
    assert not train & test
    assert not train & val
    assert (val == test) is not hold_out
    if hold_out:
        assert not val & test


def test_test_split_is_last_in_time(case):
    _, name, folder, expected = case
    dataset = build(name, folder, **options_for(name))

    def times(split, file=None):
        return [
            expected.place[number][1]
            for number in all_numbers(dataset, split).ravel()
            if file in (None, expected.place[number][0])
        ]

    if name == "taxibj":
        assert len(dataset.test) == 100
        assert max(times(dataset.train)) < min(times(dataset.val)) <= max(times(dataset.val)) < min(times(dataset.test))
        return
    for file in {file for file, _ in expected.place.values()}:
        assert max(times(dataset.train, file)) < min(times(dataset.val, file))
        assert max(times(dataset.val, file)) < min(times(dataset.test, file))
    windows = 9 * 24 - 7
    assert len(dataset.test) == 5 * round(windows * 0.2)


def test_report_counts_what_was_dropped(case):
    _, name, folder, expected = case
    report = build(name, folder, **options_for(name)).report
    assert f"dropped {expected.duplicated} duplicated slots, {expected.incomplete} slots of incomplete days" in report
    assert f"{expected.outside} outside the longest block" in report
    assert "\n" not in report


def test_taxibj_windows_across_gaps_are_counted(tmp_path):
    taxibj.write(tmp_path, SHAPE.frame)
    report = build("taxibj", tmp_path, **options_for("taxibj")).report
    # BJ14 loses days 2 and 5, BJ15 day 1, BJ16 days 3 and 4: four gaps, each crossed by length - 1 windows
    assert f"{4 * (SHAPE.length - 1)} windows across gaps" in report


def test_counts_come_back_in_physical_units(case):
    _, name, folder, _ = case
    dataset = build(name, folder, **options_for(name))
    clips = dataset.to_physical(dataset.test.clips(np.arange(20), 0)).numpy()
    for clip, window in zip(clips, flow_layout.numbers(clips), strict=True):
        truth = np.stack([flow_layout.frame(number, SHAPE.frame) for number in window])
        np.testing.assert_allclose(clip, truth, atol=1e-4)


@pytest.mark.parametrize("hold_out", [True, False])
def test_scaling_uses_training_statistics_only(case, hold_out, tmp_path):
    """A huge count in the last frame of the series (a test frame) leaves the scale of the training data alone."""
    builder, name, _, _ = case
    builder.write(tmp_path, SHAPE.frame)
    calm = build(name, tmp_path, hold_out, **options_for(name))
    with h5py.File(tmp_path / builder.NAMES[-1], "r+") as file:
        file["data"][-1, 1, 2, 2] = 1e4
    wild = build(name, tmp_path, hold_out, **options_for(name))
    everything = np.arange(len(calm.train))
    train = calm.train.clips(everything, 0)
    assert (train.min(), train.max()) == (0, 1)
    np.testing.assert_array_equal(train, wild.train.clips(everything, 0))
    assert wild.test.clips(np.arange(len(wild.test)), 0).max() > 100
    assert calm.fingerprint != wild.fingerprint


def test_series_is_stored_once(case):
    _, name, folder, _ = case
    dataset = build(name, folder, **options_for(name))
    assert len({id(split.stored) for split in (dataset.train, dataset.val, dataset.test)}) == 1
    assert dataset.train.stored.path == dataset.frame_cache


def test_too_short_series(tmp_path):
    taxinyc.write(tmp_path, SHAPE.frame)
    long = SHAPE.model_copy(update={"t_out": 9 * 24 - 4})
    with pytest.raises(UserError, match=r"taxinyc: 1 windows are too few"):
        build("taxinyc", tmp_path, shape=long)


def test_files_that_overlap_in_time_are_refused(tmp_path):
    taxinyc.write(tmp_path, SHAPE.frame)
    (tmp_path / taxinyc.NAMES[1]).write_bytes((tmp_path / taxinyc.NAMES[0]).read_bytes())
    with pytest.raises(UserError, match="overlap in time"):
        build("taxinyc", tmp_path)


def test_constant_training_frames_are_refused(tmp_path):
    taxinyc.write(tmp_path, SHAPE.frame)
    for name in taxinyc.NAMES:
        with h5py.File(tmp_path / name, "r+") as file:
            distinct = np.arange(len(file["data"]))  # duplicates must still differ, or they would count as identical
            file["data"][:] = 3.0
            file["data"][: 6 * 24 + 2 * 24, 0, 0, 0] = distinct[: 8 * 24]
    with pytest.raises(UserError, match="nothing to learn"):
        build("taxinyc", tmp_path)


def test_missing_files_are_named(tmp_path):
    taxinyc.write(tmp_path, SHAPE.frame)
    (tmp_path / taxinyc.NAMES[2]).unlink()
    with pytest.raises(UserError) as caught:
        build("taxinyc", tmp_path)
    message = str(caught.value)
    assert f"missing: {taxinyc.NAMES[2]}." in message
    assert str(tmp_path / "taxinyc") in message
    assert "https://github.com/UNIMIBInside" in message
    assert "No files are needed for: moving_digits" in message


def test_files_in_a_folder_of_the_benchmarks_name(tmp_path):
    folder = tmp_path / "taxinyc"
    folder.mkdir()
    taxinyc.write(folder, SHAPE.frame)
    assert len(build("taxinyc", tmp_path).test)


def test_options_name_the_near_miss():
    with pytest.raises(
        UserError, match=r"taxibj: dataset.options: unknown key 'first_slots'.*Did you mean 'first_slot'"
    ):
        build("taxibj", None, first_slots=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots_per_day": 7}, "slots_per_day 7 does not divide the 1440 minutes"),
        ({"split": {"kind": "fraction"}}, "'prepared' needs a split of kind last_windows"),
        ({"window_npz": "x.npz"}, "unknown key 'window_npz'.*prepared"),
    ],
)
def test_options_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        build("taxibj", None, **changes)


def test_other_days_for_undated_files_are_other_times(tmp_path):
    nyctaxi30.write(tmp_path, SHAPE.frame)
    first, second = (
        build("nyctaxi30", tmp_path, first_days=[day, "2017-01-01"]).train.times(np.array([0]))[0, 0]
        for day in ("2016-01-01", "2016-01-03")
    )
    assert second - first == 2 * 86400


def test_smallest_training_count_becomes_zero(tmp_path):
    taxinyc.write(tmp_path, SHAPE.frame)
    plain = build("taxinyc", tmp_path)
    for name in taxinyc.NAMES:
        with h5py.File(tmp_path / name, "r+") as file:
            file["data"][:] += 7.0
    raised = build("taxinyc", tmp_path)
    clips = raised.train.clips(np.arange(len(raised.train)), 0)
    assert (clips.min(), clips.max()) == (0, 1)
    physical = raised.to_physical(clips) - 7
    expected = plain.to_physical(plain.train.clips(np.arange(len(plain.train)), 0))
    np.testing.assert_allclose(physical, expected, atol=1e-4)


def test_order_of_file_names_does_not_matter(tmp_path):
    taxibj.write(tmp_path, SHAPE.frame)
    options = options_for("taxibj")
    forward = build("taxibj", tmp_path, **options)
    backward = build("taxibj", tmp_path, files=taxibj.NAMES[::-1], **options)
    for split in ("train", "val", "test"):
        first, second = (all_numbers(d, getattr(d, split)) for d in (forward, backward))
        np.testing.assert_array_equal(first, second)
