"""Frames of overlapping windows: numbered by their place in time, whatever their content."""

import numpy as np
import pytest

from stbench.data.readers.traffic.window_places import places_of

LENGTH, HOURS = 6, 240
STARTS = np.arange(HOURS - LENGTH + 1)


def contents(empty_hours=12, stuck=()):
    """Content of each hour: 0 (constant) by night, else one of its own; ``stuck`` hours repeat the one before."""
    numbers = np.arange(1, HOURS + 1)
    numbers[np.arange(HOURS) % 24 < empty_hours] = 0
    for hour in stuck:
        numbers[hour] = numbers[hour - 1]
    return np.unique(numbers, return_inverse=True)[1]


def placed(starts, content_F, length=LENGTH):
    """True frame numbers (N, T) of windows, and those that are found."""
    truth = starts[:, None] + np.arange(length)
    constant_K = np.arange(content_F.max() + 1) == 0
    return truth, places_of(content_F[truth], constant_K)


def held_out():
    """Every tenth window, after the others: a test split drawn from between the training windows."""
    return np.concatenate([STARTS[STARTS % 10 != 0], STARTS[::10]])


IN_ORDER = {
    "each": STARTS,
    "every second": STARTS[::2],
    "every fifth": STARTS[::5],
    "a gap by day": STARTS[(STARTS < 40) | (STARTS > 62)],
    "a gap by night": STARTS[(STARTS < 92) | (STARTS > 98)],
    "the test before training": np.concatenate([STARTS[116:], STARTS[:116]]),
}


@pytest.mark.parametrize("starts", IN_ORDER.values(), ids=IN_ORDER)
@pytest.mark.parametrize("content", [contents(), contents(0), contents(20), contents(10, stuck=range(15, 23))])
def test_windows_in_order_give_back_the_series(starts, content):
    truth, found = placed(starts, content)
    numbers = dict(zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True))
    np.testing.assert_array_equal(np.vectorize(numbers.get)(truth), found)  # one number per hour
    assert len(set(numbers.values())) == len(numbers)  # and one hour per number


ANY_ORDER = {
    "shuffled": np.random.default_rng(0).permutation(STARTS),
    "reversed": STARTS[::-1],
    "held out between": held_out(),
    "twice": np.repeat(STARTS, 2),
    "far apart": STARTS[::LENGTH],
}


@pytest.mark.parametrize("starts", ANY_ORDER.values(), ids=ANY_ORDER)
def test_shared_frames_are_found_in_any_order(starts):
    """Hours whose content tells them have one number each, and numbers have one hour."""
    content = contents()
    truth, found = placed(starts, content)
    told = content[truth] > 0
    pairs = set(zip(truth[told].tolist(), found[told].tolist(), strict=True))
    assert len({hour for hour, _ in pairs}) == len({number for _, number in pairs}) == len(pairs)
    assert not set(found[told].tolist()) & set(found[~told].tolist())


@pytest.mark.parametrize("order", ["shuffled", "reversed", "far apart"])
def test_no_two_hours_are_merged(order):
    truth, found = placed(ANY_ORDER[order], contents())
    assert len(set(zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True))) == len(
        set(found.ravel().tolist())
    )


def test_two_runs_that_meet_in_empty_hours_only_are_kept_apart():
    content = np.array([1, 2, 3, 0, 0, 0, 0, 4, 5, 6])
    _, found = placed(np.array([0, 1, 5, 6]), content, length=4)
    assert found.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [5, 6, 7, 8], [6, 7, 8, 9]]
