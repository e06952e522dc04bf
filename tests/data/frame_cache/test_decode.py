"""The frame cache: decoded once, atomically, under kill, two processes, a full disk and damage."""

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stbench.data.formats import open_recordings
from stbench.data.frame_cache import decode as module
from stbench.data.frame_cache.cache import FrameCache, cache_dir
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import FrameSize
from stbench.errors import UserError

SIZE = FrameSize(height=8, width=12, channels=1, fit="crop")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three npy series in a folder, and an empty cache."""
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        values = np.random.default_rng(number).normal(size=(10 + number, 8, 12)).astype(np.float32)
        np.save(folder / f"series{number}.npy", values)
    return folder


def recordings(folder):
    return open_recordings(sorted(folder.glob("*.npy")), folder)


def truth(folder):
    return np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])[:, None]


def test_frames_statistics_and_places(place):
    cache = decode_once("toy", recordings(place), SIZE)
    expected = truth(place)
    np.testing.assert_array_equal(cache.frames, expected)
    np.testing.assert_allclose(cache.statistics[..., 0], expected.min((2, 3)))
    np.testing.assert_allclose(cache.statistics[..., 1], expected.max((2, 3)))
    np.testing.assert_allclose(cache.statistics[..., 2], expected.mean((2, 3), dtype=np.float64))
    np.testing.assert_allclose(cache.statistics[..., 3], expected.astype(np.float64).var((2, 3)))
    assert [(s.name, s.first, s.length) for s in cache.index.recordings] == [
        ("series0", 0, 10),
        ("series1", 10, 11),
        ("series2", 21, 12),
    ]
    assert np.isnan(cache.seconds).all()
    again = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(again.frames, expected)
    with pytest.raises(ValueError, match="read-only"):
        cache.frames[0] = 0


def test_never_done_twice_but_anew_when_a_file_changes(place, monkeypatch):
    first = decode_once("toy", recordings(place), SIZE)
    calls = []
    monkeypatch.setattr(module, "fit_frames", lambda *a: calls.append(a))
    assert decode_once("toy", recordings(place), SIZE).path == first.path
    assert not calls
    monkeypatch.undo()
    monkeypatch.setenv("STBENCH_CACHE", str(place.parent / "cache"))
    np.save(place / "series0.npy", np.zeros((10, 8, 12), np.float32))
    other = decode_once("toy", recordings(place), SIZE)
    assert other.path != first.path
    assert other.index.source != first.index.source
    assert (other.frames[:10] == 0).all()


def test_every_nth_frame(place):
    cache = decode_once("toy", recordings(place)[:1], SIZE, keep=lambda r: slice(2, r.length, 3))
    np.testing.assert_array_equal(cache.frames, truth(place)[2:10:3])


KILLED = """
import sys, time
from pathlib import Path
from stbench.data.frame_cache import decode as module
module.FLUSH_BYTES = 1
plain = module.fit_frames
def slow(frames, size):
    time.sleep(0.3)
    return plain(frames, size)
module.fit_frames = slow
from tests_store import recordings, SIZE
print("begin", flush=True)
module.decode_once("toy", recordings(Path(sys.argv[1])), SIZE)
"""


def start(place):
    env = {**os.environ, "PYTHONPATH": str(place.parent)}
    (place.parent / "tests_store.py").write_text(
        "from stbench.data.frame_cache.resize import FrameSize\nfrom stbench.data.formats import open_recordings\n"
        "SIZE = FrameSize(height=8, width=12, channels=1, fit='crop')\n"
        "def recordings(folder):\n    return open_recordings(sorted(folder.glob('*.npy')), folder)\n"
    )
    return subprocess.Popen([sys.executable, "-c", KILLED, str(place)], env=env, stdout=subprocess.PIPE)


def test_killed_decoding_goes_on_where_it_was(place, monkeypatch):
    process = start(place)
    process.stdout.readline()
    while not list(cache_dir().glob("*.partial/journal.jsonl")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cache_dir().glob("*/index.json"))
    (partial,) = cache_dir().glob("*.partial")
    with (partial / "frames.bin").open("ab") as stream:
        stream.write(b"torn")
    with (partial / "journal.jsonl").open("a") as stream:
        stream.write('{"name": "seri')
    decoded = []
    plain = module.fit_frames
    monkeypatch.setattr(module, "fit_frames", lambda frames, size: decoded.append(len(frames)) or plain(frames, size))
    cache = decode_once("toy", recordings(place), SIZE)
    np.testing.assert_array_equal(cache.frames, truth(place))
    assert 10 not in decoded  # the first recording was safe
    assert not list(cache_dir().glob("*.partial"))


def test_two_processes_at_once_make_one_store(place):
    processes = [start(place) for _ in range(2)]
    for process in processes:
        assert process.wait(timeout=60) == 0
    (made,) = [path.parent for path in cache_dir().glob("*/index.json")]
    np.testing.assert_array_equal(FrameCache(made).frames, truth(place))
    assert not list(cache_dir().glob("*.partial"))


def test_a_full_disk_says_so_and_keeps_what_is_done(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(UserError, match=r"The disk is full while frames are decoded into .*STBENCH_CACHE"):
            decode_once("toy", recordings(place), SIZE)
    assert not list(cache_dir().glob("*/index.json"))
    np.testing.assert_array_equal(decode_once("toy", recordings(place), SIZE).frames, truth(place))


def test_a_cache_that_cannot_be_written(place, monkeypatch):
    blocked = place.parent / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("STBENCH_CACHE", str(blocked))
    with pytest.raises(UserError, match=r"Cannot decode frames into .*STBENCH_CACHE"):
        decode_once("toy", recordings(place), SIZE)


def test_a_read_only_data_folder_is_no_obstacle(place):
    before = {path: path.stat().st_mtime_ns for path in (place, *place.rglob("*"))}
    decode_once("toy", recordings(place), SIZE)
    assert {path: path.stat().st_mtime_ns for path in (place, *place.rglob("*"))} == before
    shutil.rmtree(cache_dir())
    for path in (*place.iterdir(), place):
        path.chmod(0o555)
    try:
        assert decode_once("toy", recordings(place), SIZE).count == 33
    finally:
        place.chmod(0o755)


def test_a_damaged_store_is_refused(place):
    path = decode_once("toy", recordings(place), SIZE).path
    frames = path / "frames.bin"
    frames.write_bytes(frames.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"frames\.bin is damaged: it must have 12672 bytes"):
        decode_once("toy", recordings(place), SIZE)
    (path / "index.json").unlink()
    with pytest.raises(UserError, match="holds no decoded frames"):
        FrameCache(path)
    assert decode_once("toy", recordings(place), SIZE).count == 33


def test_not_finite_values_are_named(place):
    values = np.load(place / "series1.npy")
    values[4, 0, 0] = np.nan
    np.save(place / "series1.npy", values)
    with pytest.raises(
        UserError, match=r"series1\.npy: recording 'series1' holds NaN or infinity: 0.0947 % .* first near frame 4"
    ):
        decode_once("toy", recordings(place), SIZE)


def test_cache_folder_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("STBENCH_CACHE", "~/frames")
    assert cache_dir() == Path.home() / "frames" / "prepared"
    monkeypatch.delenv("STBENCH_CACHE")
    assert cache_dir().parts[-2:] == ("stbench", "prepared")


def test_two_arrays_of_one_file_are_decoded_separately(place):
    one, other = np.zeros((9, 8, 12), np.float32), np.ones((9, 8, 12), np.float32)
    np.savez(place / "both.npz", one=one, other=other)
    for name, expected in (("one", 0), ("other", 1)):
        opened = open_recordings([place / "both.npz"], place, variable=name)
        assert (decode_once("toy", opened, SIZE).frames == expected).all()


def with_holes(folder):
    values = truth(folder)
    values[3, 0, :2, :5] = np.nan
    values[12] = np.nan
    np.save(folder / "series0.npy", values[:10, 0])
    np.save(folder / "series1.npy", values[10:21, 0])
    return values


def test_missing_values_stay_nan_and_statistics_are_of_the_others(place):
    values = with_holes(place)
    cache = decode_once("toy", recordings(place), SIZE, fill="leave")
    np.testing.assert_array_equal(cache.frames, values)
    assert [(r.missing, r.filled) for r in cache.index.recordings] == [(10, 0), (96, 0), (0, 0)]
    known = np.delete(values, 12, axis=0).astype(np.float64)
    expected = np.stack([f(known, axis=(2, 3)) for f in (np.nanmin, np.nanmax, np.nanmean, np.nanvar)], axis=-1)
    np.testing.assert_allclose(np.delete(cache.statistics, 12, axis=0), expected)
    assert np.isnan(cache.statistics[12]).all()


def test_frames_left_with_holes_are_refused_where_data_must_be_complete(place):
    with_holes(place)
    decode_once("toy", recordings(place), SIZE, fill="leave")
    with pytest.raises(UserError, match=r"series0.*1\.04 % of the values are missing.*missing: mask"):
        decode_once("toy", recordings(place), SIZE)
    filled = decode_once("toy", recordings(place), SIZE, fill=7.0)
    assert [(r.missing, r.filled) for r in filled.index.recordings] == [(0, 10), (0, 96), (0, 0)]


def test_complete_frames_are_decoded_once_for_both_rules(place):
    assert (
        decode_once("toy", recordings(place), SIZE, fill="leave").path
        == decode_once("toy", recordings(place), SIZE).path
    )


def test_a_resized_pixel_is_missing_if_a_source_pixel_is(place):
    with_holes(place)
    small = decode_once("toy", recordings(place), FrameSize(height=4, width=6, channels=1), fill="leave").frames[3, 0]
    assert np.isnan(small[0, :2]).all()
    assert np.isfinite(small[2:]).all()
