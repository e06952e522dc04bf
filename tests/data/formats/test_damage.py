"""Files that are truncated, contain something else, or cannot be written: one message that names the file."""

import errno
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import netcdf_file

from stbench.data import dataset_spec, load_benchmark, open_dataset
from stbench.data.benchmarks.downloads import Download, fetch
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.data.formats import guard, open_recordings
from stbench.data.frame_cache.cache import cache_dir
from stbench.errors import UserError
from stbench.schema import ClipShape

FILM = np.random.default_rng(0).integers(0, 255, (60, 32, 48), dtype=np.uint8)


def opened(path):
    benchmark = custom_benchmark(str(path), CustomOptions(t_in=2, t_out=2))
    return open_dataset(
        benchmark.name, dataset_spec(benchmark, benchmark.protocols["paper"]), benchmark.shape, (), True
    )


def write_npz(path):
    np.savez_compressed(path, film=FILM, time=np.arange(len(FILM)) * 3600 + 10**9)


def write_h5(path):
    with h5py.File(path, "w") as file:
        file["film"] = FILM


def write_nc4(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("film", data=FILM.astype(np.float32), chunks=(10, 32, 48), compression="gzip")


def write_nc3(path):
    with netcdf_file(path, "w") as file:
        for name, size in zip("tyx", FILM.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("film", "f4", tuple("tyx"))[:] = FILM


def write_video(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for picture in FILM:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([picture] * 3, -1), format="rgb24")))
        container.mux(stream.encode())


def write_pictures(path):
    path.parent.mkdir(exist_ok=True)
    for number, picture in enumerate(FILM):
        Image.fromarray(picture).save(path.with_name(f"frame{number}{path.suffix}"))


WRITERS = {
    "film.npy": lambda path: np.save(path, FILM),
    "film.npz": write_npz,
    "film.h5": write_h5,
    "film.nc": write_nc4,
    "film3.nc": write_nc3,
    "film.mp4": write_video,
    "film.avi": write_video,
    "frame0.png": write_pictures,
    "frame59.jpg": write_pictures,
}


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_short_is_named_and_leaves_nothing_behind(tmp_path, monkeypatch, name, kept):
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "data" / name
    path.parent.mkdir()
    WRITERS[name](path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError) as caught:
        opened(path.parent)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache_dir().glob("*/index.json"))
    path.write_bytes(whole)
    assert len(opened(path.parent).train) == 42 - 3


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>log in</html>" * 40, b"\x00" * 4096])
def test_a_file_that_holds_something_else(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} (cannot be read|is no|holds no)"):
        opened(tmp_path)


def test_damage_within_compressed_values(tmp_path):
    path = tmp_path / "film.nc"
    write_nc4(path)
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 2000] = bytes(2000)
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"film\.nc cannot be read as NetCDF"):
        opened(tmp_path)


def test_damaged_times(tmp_path):
    path = tmp_path / "film.npz"
    np.savez(path, film=FILM, time=np.array([None] * 60))
    with pytest.raises(UserError, match=r"film\.npz: its times cannot be read"):
        opened(tmp_path)


STRINGS = np.full((20, 8, 8), b"text")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"film": STRINGS}, r"a\.h5 holds no numbers of two or more axes, but film of \|S4"),
        ({}, "holds no numbers of two or more axes, but nothing"),
        ({"a": FILM, "b": FILM}, r"holds 2 arrays \(a, b\). Say which with --variable"),
    ],
)
def test_hdf5_of_something_else(tmp_path, items, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, values in items.items():
            file[key] = values
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


@pytest.mark.parametrize("first", [FILM, FILM[0]])
def test_a_later_hdf5_file_holds_strings(tmp_path, first):
    for number in range(40):
        with h5py.File(tmp_path / f"a{number}.h5", "w") as file:
            file["film"] = first if number != 5 else STRINGS
    with pytest.raises(UserError, match=r"a5\.h5 lacks the array 'film' of numbers, which the files before it hold"):
        opened(tmp_path)


def test_calibration_that_is_no_number(tmp_path):
    for number in range(40):
        with h5py.File(tmp_path / f"a{number}.h5", "w") as file:
            file["dataset1/data1/data"] = FILM[0]
            file.create_group("dataset1/data1/what").attrs["gain"] = "half"
    with pytest.raises(UserError, match=r"a0\.h5 cannot be read as HDF5"):
        opened(tmp_path)


def test_netcdf_of_strings(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["names"] = STRINGS
    with pytest.raises(UserError, match=r"a\.nc holds the variables none"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("data", "dates", "message"),
    [
        (STRINGS, np.full(20, b"2014010101"), r"'data' holds \|S4, expected numbers"),
        (np.zeros((20, 2, 3, 3)), np.zeros(20), "'date' holds float64, expected labels YYYYMMDDSS"),
        (None, np.full(20, b"2014010101"), "'data' holds a group, expected numbers"),
    ],
)
def test_flow_files_of_something_else(tmp_path, data, dates, message):
    benchmark = load_benchmark("taxibj")
    for name in benchmark.dataset.options["files"]:
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("data") if data is None else file.create_dataset("data", data=data)
            file["date"] = dates
    shape = ClipShape(t_in=2, t_out=2, channels=2, height=3, width=3)
    with pytest.raises(UserError, match=message):
        open_dataset("taxibj", benchmark.dataset, shape, (tmp_path,), True)


def test_pictures_of_two_sizes(tmp_path):
    write_pictures(tmp_path / "frame0.png")
    Image.fromarray(FILM[0, :16]).save(tmp_path / "frame30.png")
    with pytest.raises(UserError, match=r"frame30\.png is \(H, W, C\) = \(16, 48, 1\), the pictures before it"):
        opened(tmp_path)


def test_an_npz_with_other_things_in_it(tmp_path):
    write_npz(tmp_path / "film.npz")
    with zipfile.ZipFile(tmp_path / "film.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    (recording,) = open_recordings([tmp_path / "film.npz"], tmp_path)
    assert recording.length == 60


def test_a_full_disk_while_copying_leaves_no_file(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "a.bin").write_bytes(bytes(1000))

    def half(origin, place):
        with Path(place).open("wb") as file:
            file.write(bytes(500))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", half)
        for pattern in ("a.bin", "*.bin"):
            with pytest.raises(
                UserError, match=r"Cannot write to .*target: No space left.*Free space, or name another"
            ):
                fetch([Download(file=pattern)], target, str(source), lambda *_: None)
    assert not list(target.glob("*.bin"))
    fetch([Download(file="*.bin")], target, str(source), lambda *_: None)
    assert (target / "a.bin").read_bytes() == bytes(1000)
    assert sorted(path.name for path in target.iterdir()) == ["a.bin", "downloads.lock.json"]


def test_a_tree_keeps_its_places_and_is_not_copied_twice(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "a.png").write_bytes(b"one")
    item = Download(file="**/*.png")
    assert fetch([item], target, str(source), lambda *_: None) == ["**/*.png: 1 files there, no hash is known"]
    made = target / "deep" / "er" / "a.png"
    stamp = made.stat().st_mtime_ns
    fetch([item], target, str(source), lambda *_: None)
    assert made.stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="comes from a folder only"):
        fetch([item], target, "https://example.org", lambda *_: None)
    with pytest.raises(UserError, match=r"\*\*/\*\.gif is not there"):
        fetch([Download(file="**/*.gif")], target, str(source), lambda *_: None)


def outside(folder):
    with h5py.File(folder / "elsewhere.bin", "w") as file:
        file["film"] = FILM


def external_link(file, folder):
    file["film"] = h5py.ExternalLink(str(folder / "elsewhere.bin"), "/film")


def external_storage(file, folder):
    (folder / "raw.bin").write_bytes(FILM.tobytes())
    file.create_dataset("deep/film", FILM.shape, "u1", external=[(str(folder / "raw.bin"), 0, FILM.nbytes)])


def virtual(file, folder):
    layout = h5py.VirtualLayout(FILM.shape, "u1")
    layout[:] = h5py.VirtualSource(str(folder / "elsewhere.bin"), "film", FILM.shape)
    file.create_virtual_dataset("film", layout)


def mostly_nothing(file, _):
    file.create_dataset("film", (10**6, 100, 100), "f4", chunks=(100, 100, 100))


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external_link, r"/film is a link into .*elsewhere\.bin, another file"),
        (external_storage, r"/deep/film is values stored in .*raw\.bin, another file"),
        (virtual, r"/film is a view of .*elsewhere\.bin, another file"),
        (mostly_nothing, r"/film unpacks to 40\.0 GB from .* decompression bomb"),
    ],
)
def test_hdf5_of_parts_elsewhere_is_refused(tmp_path, suffix, write, message):
    outside(tmp_path)
    with h5py.File(tmp_path / f"a{suffix}", "w") as file:
        write(file, tmp_path)
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


def test_hdf5_links_within_the_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["film"] = FILM
        file["loop"] = file["/"]
        file["again"] = h5py.SoftLink("/nowhere")
    assert len(opened(tmp_path).train) == 42 - 3


def test_hdf5_open_for_writing_elsewhere(tmp_path):
    write_h5(tmp_path / "a.h5")
    program = f"import h5py; file = h5py.File({str(tmp_path / 'a.h5')!r}, 'a'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match=r"a\.h5 is open for writing in another program"):
            opened(tmp_path)
        other.communicate("\n")


def test_zeros_packed_small_are_refused_when_they_are_many(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((40, 256, 256), np.uint8))
    assert len(opened(tmp_path).train) == 28 - 3
    monkeypatch.setattr(guard, "LARGE", 1 << 20)
    with pytest.raises(
        UserError, match=r"it unpacks to 0\.0 GB from 0\.00\d* MB, which is refused as a decompression bomb"
    ):
        opened(tmp_path)
