"""Windows and leak-free splits against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbench.data.formats.recording import NO_TIME
from stbench.data.frame_cache.cache import CachedRecording
from stbench.data.splits.rules import ByFraction, ByName, LastFile, LastFraction, LastWindows
from stbench.data.splits.windows import Cutter, Span, SplitWindows, keep_apart
from stbench.errors import UserError

ascending = st.sets(st.integers(0, 60), min_size=1).map(sorted)


def cutter(lengths, length, seconds=None, **options):
    """A cutter over recordings of these lengths; a minute a frame unless said otherwise."""
    firsts = np.cumsum([0, *lengths[:-1]])
    recordings = [
        CachedRecording(name=f"r{number}", first=int(first), length=frames)
        for number, (first, frames) in enumerate(zip(firsts, lengths, strict=True))
    ]
    return Cutter(recordings, np.full(sum(lengths), NO_TIME) if seconds is None else seconds, length, **options)


def whole(cut):
    return [Span.of(recording) for recording in cut.recordings]


@given(ascending, st.integers(1, 9))
def test_windows_are_all_runs_of_consecutive_seconds(seconds, length):
    cut = cutter([len(seconds)], length, np.array(seconds), step=1)
    brute = [
        list(range(start, start + length))
        for start in range(len(seconds) - length + 1)
        if seconds[start + length - 1] - seconds[start] == length - 1
    ]
    assert cut.windows(whole(cut)).tolist() == brute


def test_the_usual_step_is_found_where_none_is_given():
    cut = cutter([9], 2, np.array([0, 10, 20, 30, 40, 70, 80, 90, 100]))
    assert cut.windows(whole(cut))[:, 0].tolist() == [0, 1, 2, 3, 5, 6, 7]


def test_windows_stay_within_the_frames_in_use():
    cut = cutter([10, 10], 3, in_use={0: [Span(0, 4), Span(6, 9)], 10: []})
    assert cut.windows(whole(cut))[:, 0].tolist() == [0, 1, 6]
    assert cut.usable([Span(2, 7)]) == [Span(2, 4), Span(6, 7)]


@given(
    st.lists(st.integers(30, 80), min_size=1, max_size=4),
    st.integers(2, 6),
    st.booleans(),
    st.one_of(
        st.builds(LastWindows, test=st.integers(1, 8), val_fraction=st.floats(0.05, 0.4)),
        st.builds(LastFraction, test_fraction=st.floats(0.05, 0.3), val_fraction=st.floats(0.05, 0.3)),
        st.builds(LastFile, val_fraction=st.floats(0.05, 0.4)),
        st.just(ByFraction(by="time")),
    ),
)
def test_no_frame_in_two_splits_and_only_straddlers_are_left_out(lengths, length, hold_out, rule):
    cut = cutter(lengths, length)
    try:
        divided = rule.divide(cut, "here")
        apart = keep_apart(divided, hold_out, "here")
    except UserError:  # a split was shorter than a window
        return
    parts = apart.windows
    train, val, test = (set(part.ravel().tolist()) for part in parts)
    assert not train & test
    assert not train & val or not hold_out
    assert (parts.val is parts.test) is not hold_out
    if hold_out:
        assert not val & test
    kept = np.concatenate([parts.train, parts.test, *([parts.val] if hold_out else [])])
    every = {tuple(window) for part in divided for window in part}
    left_out = every - {tuple(window) for window in kept}
    assert len(left_out) == apart.straddling
    held = test | (val if hold_out else set())
    assert all(held & set(window) for window in left_out)
    if isinstance(rule, ByFraction):
        assert apart.straddling == 0


def test_validation_that_is_set_apart_is_never_trained_on():
    windows = SplitWindows(*(np.arange(start, start + 4)[:, None] + np.arange(2) for start in (0, 10, 20)))
    joined = keep_apart(windows, False, "here").windows
    apart = keep_apart(windows, False, "here", join_val=False).windows
    assert joined.train[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert apart.train[:, 0].tolist() == [0, 1, 2, 3]


def test_last_windows_are_the_last_of_all_files():
    parts = keep_apart(LastWindows(test=10, val_fraction=0.1).divide(cutter([50, 30], 4), "here"), True, "here").windows
    assert parts.test[:, 0].tolist() == list(range(67, 77))
    assert parts.val.max() < 67


def test_last_fraction_is_taken_of_each_file():
    parts = LastFraction(test_fraction=0.2).divide(cutter([53, 103], 4), "here")
    assert parts.test[:, 0].tolist() == [*range(40, 50), *range(133, 153)]


def test_last_file_is_the_test_split():
    parts = LastFile(val_fraction=0.1).divide(cutter([53, 20], 4), "here")
    assert parts.test[:, 0].tolist() == list(range(53, 70))
    assert parts.val[:, 0].tolist() == list(range(45, 50))


def test_a_share_of_training_is_cut_off_for_validation():
    rule = ByName(train="r0", val=0.25, test="r1")
    spans = rule.spans(cutter([40, 20], 4).recordings, np.full(60, NO_TIME), "here")
    assert spans == {"train": [Span(0, 30)], "val": [Span(30, 40)], "test": [Span(40, 60)]}


def test_too_few_windows():
    with pytest.raises(UserError, match="here: 20 windows are too few for 1 validation and 20 test windows"):
        LastWindows(test=20).divide(cutter([23], 4), "here")


def test_splits_shorter_than_a_window():
    with pytest.raises(UserError, match="a split has no windows"):
        keep_apart(LastWindows(test=5).divide(cutter([23], 8), "here"), True, "here")
