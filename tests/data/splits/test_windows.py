"""Windows and leak-free splits against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbench.data.splits.windows import LastFraction, LastWindows, consecutive_runs, split_windows, windows_within
from stbench.errors import UserError

ascending = st.sets(st.integers(0, 60), min_size=1).map(sorted)


@given(ascending, st.integers(1, 9))
def test_windows_are_all_runs_of_consecutive_slots(slots, length):
    found = windows_within(consecutive_runs(np.array(slots)), length)
    brute = [
        list(range(start, start + length))
        for start in range(len(slots) - length + 1)
        if slots[start + length - 1] - slots[start] == length - 1
    ]
    assert found.tolist() == brute


@given(
    st.lists(st.integers(30, 80), min_size=1, max_size=4),
    st.integers(2, 6),
    st.booleans(),
    st.one_of(
        st.builds(LastWindows, test=st.integers(1, 8), val_fraction=st.floats(0.05, 0.4)),
        st.builds(LastFraction, test_fraction=st.floats(0.05, 0.3), val_fraction=st.floats(0.05, 0.3)),
    ),
)
def test_no_frame_in_two_splits_and_only_straddlers_are_left_out(lengths, length, hold_out, rule):
    groups, offset = [], 0
    for frames in lengths:
        groups.append(windows_within([(offset, offset + frames)], length))
        offset += frames
    try:
        parts = split_windows(groups, rule, hold_out, "here")
    except UserError:  # a split was shorter than a window
        return
    train, val, test = (set(part.ravel().tolist()) for part in (parts.train, parts.val, parts.test))
    assert not train & test
    assert not train & val
    if hold_out:
        assert not val & test
    else:
        assert parts.val is parts.test
    kept = np.concatenate([parts.train, parts.test, *([parts.val] if hold_out else [])])
    every = {tuple(window) for group in groups for window in group}
    left_out = every - {tuple(window) for window in kept}
    assert len(left_out) == parts.straddling
    held = test | (val if hold_out else set())
    assert all(held & set(window) for window in left_out)


def test_last_windows_are_the_last_of_all_files():
    groups = [windows_within([(0, 50)], 4), windows_within([(50, 80)], 4)]
    parts = split_windows(groups, LastWindows(test=10, val_fraction=0.1), True, "here")
    assert parts.test[:, 0].tolist() == list(range(67, 77))
    assert parts.val.max() < 67


def test_last_fraction_is_taken_of_each_file():
    groups = [windows_within([(0, 53)], 4), windows_within([(53, 156)], 4)]
    parts = split_windows(groups, LastFraction(test_fraction=0.2), True, "here")
    assert parts.test[:, 0].tolist() == [*range(40, 50), *range(133, 153)]


def test_too_few_windows():
    with pytest.raises(UserError, match="here: 20 windows are too few for 1 validation and 20 test windows"):
        split_windows([windows_within([(0, 23)], 4)], LastWindows(test=20), True, "here")


def test_splits_shorter_than_a_window():
    with pytest.raises(UserError, match="a split has no windows"):
        split_windows([windows_within([(0, 23)], 8)], LastWindows(test=5), True, "here")
