"""Unpacking: all or nothing, and nothing outside the folder."""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple

import pytest

from stbench.errors import UserError
from stbench.fetch import archives
from stbench.fetch.archives import missing_members, unpack

FILES = {"a/one.bin": b"1" * 1000, "a/b/two.bin": b"22", "three.bin": b""}


def make_zip(path, files, **changes):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            made.writestr(info, content)


def make_tar(path, files, mode="w", kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, mode) as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            info.type, info.linkname = kind, link
            made.addfile(info, io.BytesIO(content))


MAKERS = {
    "zip": make_zip,
    "tar": make_tar,
    "gzip named tar": lambda path, files: make_tar(path, files, "w:gz"),
}


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", MAKERS)
def test_everything_is_unpacked_recorded_and_the_archive_removed(place, kind):
    path = place / "x.archive"
    MAKERS[kind](path, FILES)
    (place / "a").mkdir()
    (place / "a" / "kept.bin").write_bytes(b"before")
    assert unpack(path, place) == 3
    assert {name: (place / name).read_bytes() for name in FILES} == FILES
    assert names(place) == sorted([*FILES, "a/kept.bin", ".x.archive.contents"])
    assert missing_members(place, "x.archive") == []
    (place / "a" / "one.bin").write_bytes(b"cut")
    (place / "a" / "b" / "two.bin").unlink()
    assert missing_members(place, "x.archive") == ["a/one.bin", "a/b/two.bin"]
    assert missing_members(place, "y.archive") is None


OUTSIDE = ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "a/\0b", "a\\..\\evil"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_outside_is_refused_and_nothing_is_written(place, kind, name):
    path = place / "x.archive"
    if kind == "tar" and "\0" in name:
        pytest.skip("tar cannot store it")
    if "\0" in name:
        make_zip(path, {"good": b"1", "a/_b": b"2"})
        path.write_bytes(path.read_bytes().replace(b"a/_b", b"a/\0b"))
    else:
        MAKERS[kind](path, {"good": b"1", name: b"2"})
    with pytest.raises(UserError, match=r"is not unpacked: .*outside the folder"):
        unpack(path, place)
    assert names(place) == ["x.archive"]
    assert names(place.parent) == ["data/x.archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(place, kind):
    make_tar(place / "x.tar", {"good": b"1"})
    with tarfile.open(place / "x.tar", "a") as made:
        info = tarfile.TarInfo("evil")
        info.type, info.linkname = kind, "/etc/passwd"
        made.addfile(info)
    with pytest.raises(UserError, match="'evil' is a link or a device"):
        unpack(place / "x.tar", place)
    assert names(place) == ["x.tar"]


def test_links_in_a_zip_are_refused(place):
    make_zip(place / "x.zip", {"evil": b"/etc/passwd"}, create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(UserError, match="'evil' is a link"):
        unpack(place / "x.zip", place)
    assert names(place) == ["x.zip"]


def test_a_bomb_is_refused_before_anything_is_written(place):
    with zipfile.ZipFile(place / "x.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", bytes(archives.SMALL + 1))
    with pytest.raises(UserError, match="decompression bomb"):
        unpack(place / "x.zip", place)
    assert names(place) == ["x.zip"]


def test_a_gzip_bomb_without_members_ends(place):
    with tarfile.open(place / "x.tar", "w:gz") as made:
        info = tarfile.TarInfo("zeros")
        info.size = archives.SMALL + 1
        made.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(UserError, match="decompression bomb"):
        unpack(place / "x.tar", place)


def test_what_does_not_fit_the_disk_is_refused(place, monkeypatch):
    make_zip(place / "x.zip", FILES)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 100))
    with pytest.raises(UserError, match="takes 1002 bytes and the disk has 100 left"):
        unpack(place / "x.zip", place)
    assert names(place) == ["x.zip"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_an_archive_that_is_cut_short_leaves_nothing(place, kind, share):
    path = place / "x.archive"
    MAKERS[kind](path, {f"f{number}": os.urandom(3000) for number in range(8)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="Remove it and fetch it again"):
        unpack(path, place)
    assert names(place) == ["x.archive"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_cut_between_two_members_is_not_taken_for_whole(place, mode):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as made:
        for number in range(3):
            info = tarfile.TarInfo(f"person{number}")
            info.size = 512
            made.addfile(info, io.BytesIO(bytes(512)))
    cut = whole.getvalue()[: 2 * 1024]
    (place / "x.tar").write_bytes(gzip.compress(cut) if mode == "w:gz" else cut)
    with pytest.raises(UserError, match="its end is missing"):
        unpack(place / "x.tar", place)
    assert names(place) == ["x.tar"]


def test_a_flipped_bit_in_a_zip_is_found(place):
    make_zip(place / "x.zip", {"one": b"1" * 100})
    content = bytearray((place / "x.zip").read_bytes())
    content[60] ^= 1
    (place / "x.zip").write_bytes(content)
    with pytest.raises(UserError, match="cut short or damaged"):
        unpack(place / "x.zip", place)
    assert names(place) == ["x.zip"]


def test_a_name_that_is_file_and_folder_at_once(place):
    make_tar(place / "x.tar", {"a": b"1", "a/b": b"2"})
    with pytest.raises(UserError, match="no zip or tar"):
        unpack(place / "x.tar", place)
    assert names(place) == ["x.tar"]


def test_what_a_killed_command_left_is_cleared(place):
    (place / ".unpacking-old" / "deep").mkdir(parents=True)
    make_zip(place / "x.zip", FILES)
    unpack(place / "x.zip", place)
    assert not list(place.glob(".unpacking-*"))


def test_a_tar_that_ends_in_a_zip_is_a_tar(place):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("inner", b"x")
    make_tar(place / "x.tar", {"inner.zip": inner.getvalue()})
    unpack(place / "x.tar", place)
    assert (place / "inner.zip").read_bytes() == inner.getvalue()
