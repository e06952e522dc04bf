"""Times in every notation, against dates written out by hand."""

import numpy as np
import pytest

from stbench.data.formats.steps import goes_on, step_text, usual_step
from stbench.data.formats.timestamps import date_text, times_of_names, times_of_units, times_of_values
from stbench.errors import UserError

START = np.datetime64("2016-01-01T00:00:00")
HOURLY = START + np.arange(30) * np.timedelta64(1, "h")
UNIX = HOURLY.astype("M8[s]").astype(np.int64)


def texts(form):
    return np.array([stamp.item().strftime(form) for stamp in HOURLY])


@pytest.mark.parametrize(
    "values",
    [
        HOURLY,
        HOURLY.astype("M8[ns]"),
        UNIX,
        UNIX.astype(np.float64),
        UNIX * 1000,
        UNIX // 60,
        UNIX // 3600,
        texts("%Y-%m-%dT%H:%M"),
        texts("%Y-%m-%d %H:%M:%S"),
        texts("%Y-%m-%dT%H:%M:%SZ"),
        texts("%Y%m%d%H").astype("S10"),
        texts("%Y%m%d%H%M"),
        texts("%Y%m%d%H").astype(np.int64),
        texts("%Y%m%d%H%M%S").astype(np.float64),
    ],
)
def test_one_time_in_many_notations(values):
    np.testing.assert_array_equal(times_of_values(values, "a").seconds, UNIX)


def test_days_and_slots_of_the_day():
    days = np.array([20151230, 20151231, 20160101])
    assert np.diff(times_of_values(days, "a").seconds).tolist() == [86400, 86400]
    slots = np.array([f"20160101{slot:02d}" for slot in range(1, 49)], dtype="S10")  # half hours, counted from 1
    seconds = times_of_values(slots, "a").seconds
    assert (seconds[0], np.unique(np.diff(seconds)).tolist()) == (UNIX[0], [1800])


@pytest.mark.parametrize("values", [np.arange(200), np.arange(200) * 0.1, np.array(["a", "b"]), np.ones(3, bool)])
def test_an_index_is_no_time(values):
    times = times_of_values(values, "film.npz: time")
    assert times.seconds is None
    assert times.why.startswith("film.npz: time holds ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["2020-01-01", "NaT"], "M8[D]"), "1 of 2 times are missing .NaT., first that of frame 1"),
        (np.array(["2020-01-01", "NaT"]), "1 of 2 times are missing"),
        (HOURLY[[0, 1, 1, 2]], "frames 1 and 2 have the same time .2016-01-01 01:00, then 2016-01-01 01:00.; 1 such"),
        (
            np.arange(60) * np.array(10**9, "m8[Y]") + np.datetime64("1970"),
            "59 of 60 times are outside the years",
        ),
        (HOURLY[::-1], "frames 0 and 1 go back in time .*29 steps back in all"),
    ],
)
def test_times_that_cannot_be_are_named(values, message):
    with pytest.raises(UserError, match=message):
        times_of_values(values, "a")


@pytest.mark.parametrize(
    ("units", "number", "date"),
    [
        ("hours since 1900-01-01 00:00:0.0", 24 * 365, "1901-01-01 00:00"),
        ("days since 2000-01-01", 0.5, "2000-01-01 12:00"),
        ("seconds since 2020-01-01 00:00:00", 0.1, "2020-01-01 00:00:00.1"),
        ("minutes since 2020-01-01T06:30:15", 1, "2020-01-01 06:31:15"),
        ("months since 1950-01-01", 13, "1951-02-01 00:00"),
        ("years since 1950-01-01", 2, "1952-01-01 00:00"),
    ],
)
def test_units_of_netcdf(units, number, date):
    times = times_of_units(np.array([0, number]), units, "", "a")
    assert date_text(times.seconds[1]) == date


def test_calendars_of_climate_models():
    pytest.importorskip("cftime")
    noleap = times_of_units(np.arange(3) + 365 * 100, "days since 1900-01-01", "noleap", "a")
    assert date_text(noleap.seconds[0], noleap.calendar) == "2000-01-01 00:00"
    model = times_of_units(np.arange(60.0), "days since 2000-01-01", "360_day", "a")
    assert date_text(model.seconds[59], model.calendar) == "2000-02-30 00:00"
    assert np.unique(np.diff(model.seconds)).tolist() == [86400]
    julian = times_of_units(np.array([0.0, 1.0]), "days since 0001-01-01", "standard", "a")
    assert date_text(julian.seconds[0]) == "0000-12-30 00:00"  # "standard" is Julian before 1582


@pytest.mark.parametrize(
    ("names", "second"),
    [
        (["rain_201008260005", "rain_201008260010"], "2010-08-26 00:10"),
        (["20200601_100000", "20200601_100030"], "2020-06-01 10:00:30"),
        (["a/2020-06-01", "a/2020-06-02"], "2020-06-02 00:00"),
        (["20200601/1000", "20200601/1030"], "2020-06-01 10:30"),
        (["2020/06/01/1000", "2020/06/02/1000"], "2020-06-02 10:00"),
        (["1591005600", "1591005630"], "2020-06-01 10:00:30"),
    ],
)
def test_names(names, second):
    assert date_text(times_of_names(names).seconds[1]) == second


def test_names_without_a_time_of_their_own():
    assert times_of_names(["frame1", "frame2"]).seconds is None
    assert times_of_names(["20200101_frame_a", "20200101_frame_b"]).seconds is None
    with pytest.raises(UserError, match="cam1_202001011200 and cam2_202001011200 have the same time"):
        times_of_names(["cam1_202001011200", "cam2_202001011200"])


def test_the_usual_step_survives_jitter_gaps_and_months():
    random = np.random.default_rng(0)
    camera = 30 + random.normal(0, 0.5, 200)
    assert goes_on(camera, usual_step(camera)).all()
    camera[50] = 60  # one picture is missing
    assert np.flatnonzero(~goes_on(camera, usual_step(camera))).tolist() == [50]
    months = np.diff(np.arange("1950-01", "1970-01", dtype="M8[M]").astype("M8[s]").astype(np.float64))
    assert goes_on(months, usual_step(months)).all()
    assert step_text(usual_step(months)) == "1 month"
    assert not goes_on(months[:1] + months[1:2], usual_step(months)).any()
