"""One flow file: cleaning, and the messages for damaged ones."""

from datetime import date, timedelta

import h5py
import numpy as np
import pytest

from stbench.data.readers.traffic.flow_file import Calendar, parse_slots, read_flow_file
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


def read(path, **rules):
    rules = {"whole_days": False, "longest_block": False} | rules
    return read_flow_file(path, FRAME, HOURS, **rules)


def test_rows_come_in_time_order(write):
    file = read(write(30, 10, 20))
    assert flow_layout.numbers(file.frames[None])[0].tolist() == [1, 2, 0]
    assert np.diff(file.slots).tolist() == [10, 10]


def test_slots_of_a_day_follow_each_other_over_month_and_leap_day():
    labels = [b"2012022823", b"2012022900", b"2012022923", b"2012030100", b"2012123123", b"2013010100"]
    slots = parse_slots(np.array(labels), HOURS, "here")
    assert np.diff(slots)[[0, 2, 4]].tolist() == [1, 1, 1]
    assert slots[2] - slots[1] == 23


def test_a_slot_with_differing_rows_is_dropped_altogether(write):
    file = read(write(0, 1, 1, 1, 2))
    assert flow_layout.numbers(file.frames[None])[0].tolist() == [0, 4]
    assert file.dropped.duplicated == 3


def test_identical_rows_count_once(write):
    path = write(0, 1, 1, 2)
    with h5py.File(path, "r+") as file:
        file["data"][2] = file["data"][1]
    cleaned = read(path)
    assert flow_layout.numbers(cleaned.frames[None])[0].tolist() == [0, 1, 3]
    assert cleaned.dropped.duplicated == 1


def test_two_equal_rows_and_a_differing_one_contradict(write):
    path = write(0, 1, 1, 1, 2)
    with h5py.File(path, "r+") as file:
        file["data"][2] = file["data"][1]
    assert read(path).dropped.duplicated == 3


def test_incomplete_days_go_whole(write):
    file = read(write(*range(24), *range(25, 48), *range(48, 72)), whole_days=True)
    assert len(file.slots) == 48
    assert file.dropped.incomplete_days == 23


def test_longest_block(write):
    file = read(write(0, 1, 5, 6, 7, 9), longest_block=True)
    assert flow_layout.numbers(file.frames[None])[0].tolist() == [2, 3, 4]
    assert file.dropped.outside_block == 3


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
        read_flow_file(write(0, 1), (2, 32, 32), HOURS, whole_days=False, longest_block=False)


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
