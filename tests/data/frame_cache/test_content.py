"""The frame cache follows the files' content, and an interrupted decoding is checked before it continues."""

import json
import os
from collections import namedtuple

import numpy as np
import pytest

from stbench.data.formats import open_recordings
from stbench.data.frame_cache import content
from stbench.data.frame_cache import decode as module
from stbench.data.frame_cache.cache import cache_dir
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import FrameSize
from stbench.errors import UserError
from stbench.files import file_hash

SIZE = FrameSize(height=8, width=12, channels=1, fit="crop")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        write(tmp_path / f"data/s{number}.npy", number)
    return tmp_path / "data"


def write(path, seed):
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(10, 8, 12)).astype(np.float32))


def decoded(place):
    return decode_once("toy", open_recordings(sorted(place.glob("*.npy")), place), SIZE)


def truth(place):
    return np.concatenate([np.load(path) for path in sorted(place.glob("*.npy"))])[:, None]


@pytest.mark.parametrize("remembered", [True, False])
def test_same_size_and_time_is_not_the_same_file(place, monkeypatch, remembered):
    monkeypatch.setattr(content, "SETTLED", -1.0 if remembered else 3600.0)
    before = decoded(place)
    assert before.index.source == file_hash(*sorted(place.glob("*.npy")))
    stat = (place / "s1.npy").stat()
    write(place / "s1.npy", 77)
    os.utime(place / "s1.npy", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = decoded(place)
    assert after.index.source == file_hash(*sorted(place.glob("*.npy"))) != before.index.source
    np.testing.assert_array_equal(after.frames, truth(place))


def test_untouched_files_are_hashed_once_and_moved_ones_not_decoded_again(place, monkeypatch):
    monkeypatch.setattr(content, "SETTLED", -1.0)
    path = decoded(place).path
    with monkeypatch.context() as patch:
        patch.setattr(content, "file_hash", lambda *_: pytest.fail("hashed again"))
        assert decoded(place).path == path
    place.rename(place.with_name("moved"))
    assert decoded(place.with_name("moved")).path == path


def interrupted(place, monkeypatch):
    """The folder that a decoding leaves which dies after the second recording."""
    plain, calls = module.fit_frames, []

    def dies(frames, size):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(frames, size)

    with monkeypatch.context() as patch:
        patch.setattr(module, "FLUSH_BYTES", 1)
        patch.setattr(module, "fit_frames", dies)
        with pytest.raises(KeyboardInterrupt):
            decoded(place)
    (partial,) = cache_dir().glob("*.partial")
    assert len((partial / "journal.jsonl").read_text().splitlines()) == 2
    return partial


def cut(partial):
    with (partial / "frames.bin").open("r+b") as file:
        file.truncate(15 * 8 * 12 * 4)


def zeros(partial):
    cut(partial)
    with (partial / "frames.bin").open("r+b") as file:
        file.truncate(20 * 8 * 12 * 4)


def flip(partial):
    raw = bytearray((partial / "frames.bin").read_bytes())
    raw[5000] ^= 1
    (partial / "frames.bin").write_bytes(raw)


def other_order(partial):
    lines = (partial / "journal.jsonl").read_text().splitlines()
    (partial / "journal.jsonl").write_text("\n".join(lines[::-1]) + "\n")


def longer(partial):
    lines = [json.loads(line) for line in (partial / "journal.jsonl").read_text().splitlines()]
    lines[1]["length"] = 9
    (partial / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def text(partial):
    (partial / "journal.jsonl").write_bytes(b"\xff\xfe{[" * 50)


@pytest.mark.parametrize("damage", [cut, zeros, flip, other_order, longer, text])
def test_what_an_interrupted_decoding_left_is_checked(place, monkeypatch, damage):
    damage(interrupted(place, monkeypatch))
    cache = decoded(place)
    np.testing.assert_array_equal(cache.frames, truth(place))
    assert [known.length for known in cache.index.recordings] == [10, 10, 10]
    assert cache.damaged() is None


def test_damage_of_a_finished_cache_is_found(place):
    cache = decoded(place)
    flip(cache.path)
    assert decoded(place).damaged() == "s1"


def test_frames_that_the_disk_cannot_hold_are_refused_before_they_are_decoded(place, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(1000))
    with pytest.raises(UserError, match=r"The decoded frames take .* GB free.*STBENCH_CACHE"):
        decoded(place)


def test_files_that_change_while_they_are_read(place, monkeypatch):
    plain = module.fit_frames

    def changing(frames, size):
        write(place / "s0.npy", 5)
        return plain(frames, size)

    monkeypatch.setattr(module, "fit_frames", changing)
    with pytest.raises(UserError, match="data files changed while they were read"):
        decoded(place)
    assert not list(cache_dir().glob("*/index.json"))
