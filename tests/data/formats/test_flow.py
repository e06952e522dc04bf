"""One flow file: cleaning, and the messages for damaged ones."""

from datetime import date, timedelta

import h5py
import numpy as np
import pytest

from stbench.data.formats.clean import Clean
from stbench.data.formats.flow import Calendar, open_flow_h5, parse_slots
from stbench.errors import UserError
from tests.support import flow_layout

HOURS = Calendar(slots_per_day=24, first_slot=0)
FRAME = (2, 3, 3)


@pytest.fixture
def write(tmp_path):
    def writer(*hours, day=date(2014, 2, 28)):
        """A file whose rows are hours after midnight of ``day``; a row's frame number is its position."""
        rows = [flow_layout.Row(day + timedelta(hour // 24), hour % 24, number) for number, hour in enumerate(hours)]
        flow_layout.write_h5(tmp_path / "flow.h5", rows, FRAME)
        return tmp_path / "flow.h5"

    return writer


def read(path, frame=FRAME, incomplete_days=False, longest_block=False):
    """The opened file and its frames (T, C, H, W)."""
    file = open_flow_h5(path, frame, HOURS, Clean(24, incomplete_days, longest_block))
    frames = np.concatenate(list(file.recording.blocks())).transpose(0, 3, 1, 2)
    assert len(frames) == file.recording.length == len(file.recording.seconds)
    return file, frames


def kept(path, **rules):
    """Numbers of the frames kept, and what was dropped."""
    file, frames = read(path, **rules)
    return flow_layout.numbers(frames[None])[0].tolist(), file.dropped


def test_rows_come_in_time_order(write):
    path = write(30, 10, 20)
    assert kept(path)[0] == [1, 2, 0]
    assert np.diff(read(path)[0].recording.seconds).tolist() == [36000, 36000]


def test_slots_of_a_day_follow_each_other_over_month_and_leap_day():
    labels = [b"2012022823", b"2012022900", b"2012022923", b"2012030100", b"2012123123", b"2013010100"]
    slots = parse_slots(np.array(labels), HOURS, "here")
    assert np.diff(slots)[[0, 2, 4]].tolist() == [1, 1, 1]
    assert slots[2] - slots[1] == 23


def test_a_slot_with_differing_rows_is_dropped_altogether(write):
    numbers, dropped = kept(write(0, 1, 1, 1, 2))
    assert numbers == [0, 4]
    assert dropped.duplicated == 3


def test_identical_rows_count_once(write):
    path = write(0, 1, 1, 2)
    with h5py.File(path, "r+") as file:
        file["data"][2] = file["data"][1]
    numbers, dropped = kept(path)
    assert numbers == [0, 1, 3]
    assert dropped.duplicated == 1


def test_two_equal_rows_and_a_differing_one_contradict(write):
    path = write(0, 1, 1, 1, 2)
    with h5py.File(path, "r+") as file:
        file["data"][2] = file["data"][1]
    assert kept(path)[1].duplicated == 3


def test_incomplete_days_go_whole(write):
    numbers, dropped = kept(write(*range(24), *range(25, 48), *range(48, 72)), incomplete_days=True)
    assert len(numbers) == 48
    assert dropped.incomplete_days == 23


def test_longest_block(write):
    numbers, dropped = kept(write(0, 1, 5, 6, 7, 9), longest_block=True)
    assert numbers == [2, 3, 4]
    assert dropped.outside_block == 3


def test_a_series_of_which_nothing_is_left(write):
    with pytest.raises(UserError, match="no frame is left of 2 after cleaning"):
        read(write(1, 1))


def test_frames_are_read_when_decoded(write):
    file, _ = read(write(0, 1))
    file.recording.paths[0].unlink()
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        next(file.recording.blocks())


def test_truncated_file(write):
    path = write(*range(24))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match=r"flow\.h5 cannot be read as HDF5 \(cut short or damaged\?\)"):
        read(path)


def test_not_hdf5(tmp_path):
    path = tmp_path / "flow.h5"
    path.write_text("<html>404</html>")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        read(path)


def test_missing_key(write):
    path = write(0, 1)
    with h5py.File(path, "r+") as file:
        del file["date"]
    with pytest.raises(UserError, match="lacks the key 'date'; it holds: data"):
        read(path)


def test_wrong_frame_size(write):
    with pytest.raises(UserError, match=r"flow\.h5: 'data' has shape \(2, 2, 3, 3\), expected \(T, 2, 32, 32\)"):
        read(write(0, 1), (2, 32, 32))


def test_other_number_of_dates(write):
    path = write(0, 1, 2)
    with h5py.File(path, "r+") as file:
        del file["date"]
        file["date"] = np.array([b"2014010100"])
    with pytest.raises(UserError, match=r"'date' has shape \(1,\), expected \(3,\)"):
        read(path)


def test_not_finite(write):
    path = write(0, 1, 2)
    with h5py.File(path, "r+") as file:
        file["data"][1, 0, 0, 0] = np.nan
    with pytest.raises(UserError, match="row 1 of 'data' holds NaN or infinity"):
        read(path)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        (b"2014-01-01", "not of the form"),
        (b"201401010", "not of the form"),
        (b"2014023000", "not a day of the calendar"),
        (b"2014130100", "not a day of the calendar"),
        (b"2014010024", "not a day of the calendar"),
        (b"2014010124", "slot outside 00 to 23"),
    ],
)
def test_dates_that_are_none(label, why):
    with pytest.raises(UserError, match=f"date '{label.decode()}' in row 1 .*{why}"):
        parse_slots(np.array([b"2014010100", label]), HOURS, "flow.h5")
