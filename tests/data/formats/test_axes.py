"""Axes of arrays: every order, names, companions, times, content; and doubts that are shown instead of guessed."""

from itertools import permutations

import numpy as np
import pytest

from stbench.data.formats.arrays import open_array
from stbench.data.formats.axes import Shape, read_axes
from stbench.data.formats.fields import Choice
from stbench.errors import UserError


def clips(number=12, frames=10, side=16):
    """Squares that move one pixel a frame, (N, T, H, W)."""
    random = np.random.default_rng(0)
    made = np.zeros((number, frames, side, side), np.float32)
    for clip in made:
        row, column = random.integers(0, side, 2)
        for time, frame in enumerate(clip):
            frame[np.ix_((row + time + np.arange(5)) % side, (column + np.arange(5)) % side)] = 1
    return made


def frames_of(recording):
    return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize("order", ["".join(order) for order in permutations("NTCHW")][::7])
def test_every_order_is_accepted(tmp_path, order):
    series = np.random.default_rng(0).random((3, 5, 2, 8, 9)).astype(np.float32)  # N T C H W
    np.save(tmp_path / "a.npy", series.transpose(["NTCHW".index(axis) for axis in order]))
    found = open_array(tmp_path / "a.npy", "a", None, Choice(order))
    assert len(found) == 3
    for number, recording in enumerate(found):
        np.testing.assert_array_equal(frames_of(recording), series[number].transpose(0, 2, 3, 1))


def tell(sizes, asked="auto", array=None, **known):
    return read_axes(Shape(sizes, "a", **known), asked, lambda: array)


@pytest.mark.parametrize(
    ("sizes", "known", "layout"),
    [
        ((500, 64, 64), {}, "THW"),
        ((24, 64, 64), {}, "THW"),
        ((100, 3, 64, 64), {}, "TCHW"),
        ((100, 64, 64, 3), {}, "THWC"),
        ((12, 3, 10, 32, 32), {}, "NCTHW"),
        ((32, 40, 200), {"times": 200}, "HWT"),
        ((200, 32, 40, 16), {"times": 200}, "THWC"),
        ((490, 2, 16, 8), {"times": 490}, "TCHW"),
        ((40, 7, 20, 30), {"names": ("time", "level", "lat", "lon")}, "TLHW"),
        ((20, 30, 40), {"names": ("lat", "lon", "time")}, "HWT"),
        ((40, 7, 20, 30), {"names": ("frame", "channel", "height", "width")}, "TCHW"),
        ((40, 1, 20, 30), {"names": ("time", "height", "lat", "lon")}, "TLHW"),
        ((40, 1, 1, 20, 30), {"names": ("time", "number", "level", "lat", "lon")}, "T.LHW"),
        ((40, 7, 20, 30), {"companions": {"time": 40, "plev": 7, "lat": 20, "lon": 30}}, "TLHW"),
    ],
)
def test_axes_are_told_by_sizes_times_and_names(sizes, known, layout):
    assert tell(sizes, **known).layout == layout


@pytest.mark.parametrize(
    ("sizes", "known", "message"),
    [
        ((64, 64, 500), {}, "--layout THW .64 frames of 64×500. or as --layout HWT .500 frames of 64×64."),
        ((1000, 64, 64, 20), {}, "--layout THWC .1000 frames of 64×64 with 20 channels. or as --layout NHWT"),
        ((3, 100, 64, 64), {}, "NTHW .* or as --layout CTHW"),
        ((200, 7, 32, 32), {"times": 200}, "TNHW .* or as --layout TCHW .200 frames of 32×32 with 7 channels"),
        ((200, 2, 1, 32, 40), {"times": 200}, "Nothing is guessed"),
        ((8, 8), {}, "expected clips"),
        (
            (40, 10, 20, 30),
            {"names": ("time", "number", "lat", "lon")},
            "'number' of 10 members .*--layout TNHW, or select one",
        ),
    ],
)
def test_doubts_are_shown(sizes, known, message):
    with pytest.raises(UserError, match=message):
        tell(sizes, **known)


def test_content_tells_clips_first_and_never_overrules_the_usual_order():
    series = clips()
    assert tell(series.shape, array=series).layout == "NTHW"
    swapped = series.transpose(1, 0, 2, 3)
    with pytest.raises(
        UserError, match=r"--layout NTHW .* or as --layout TNHW .* first axis differ by .* along the sec"
    ):
        tell(swapped.shape, array=swapped)


@pytest.mark.parametrize("layout", ["TH", "THWW", "NHW", "XTHW"])
def test_layouts_that_are_none(layout):
    from stbench.data.benchmarks.own_data import CustomOptions

    with pytest.raises(UserError, match="a letter for each axis is expected"):
        CustomOptions.parse({"layout": layout}, "flags")
