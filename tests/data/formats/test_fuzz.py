"""Two thousand damaged files for every reader: each is read, or refused in one line; in bounded time and memory.

Inputs are read in child processes with a limit on memory and a clock, so that a crash of a native library is a failure
of the test and not its end.
"""

import gzip
import multiprocessing
import random
import resource
import shutil
import signal
import struct
from collections.abc import Callable
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from stbench.data.formats import open_recordings
from stbench.data.formats.clean import Clean
from stbench.data.formats.flow import Calendar, open_flow_h5, open_flow_npz
from stbench.data.frame_cache.decode import decode_once
from stbench.data.frame_cache.resize import FrameSize
from stbench.data.readers.frame_list import read_ranges
from stbench.data.readers.listed_clips import read_lists
from stbench.data.readers.moving_images.idx_glyphs import read_idx_images
from stbench.data.readers.moving_images.sequence_file import SequenceFile
from stbench.data.readers.traffic.window_npz import open_window_npz
from stbench.errors import UserError
from stbench.schema import ClipShape
from tests.data.formats.test_damage import FILM, WRITERS, write_npz, write_video

COUNT, BATCH = 2000, 250
SECONDS = 20  # for one input; the slowest takes well under one
MEMORY = 4 << 30  # address space beyond what the process has
HEADER = 600  # bytes where most of a format's structure lies

SHAPE = ClipShape(t_in=2, t_out=2, channels=2, height=4, width=4)
CALENDAR, RULE = Calendar(48, 1), Clean(48, incomplete_days=False, longest_block=True)


def write_pages(path: Path) -> None:
    first, *others = [Image.fromarray(picture) for picture in FILM[:8]]
    first.save(path, save_all=True, append_images=others)


def write_picture(path: Path) -> None:
    Image.fromarray(FILM[0]).save(path)


def write_deep(path: Path) -> None:
    Image.fromarray(FILM[0].astype(np.uint16) * 200).save(path)


def write_seq(path: Path) -> None:
    content = bytearray(1024)
    content[:4] = b"\xed\xfe\0\0"
    struct.pack_into("<II", content, 548, 48, 32)
    struct.pack_into("<I", content, 572, 8)
    for picture in FILM[:8]:
        jpeg = path.with_suffix(".jpg")
        Image.fromarray(picture).convert("RGB").save(jpeg)
        data = jpeg.read_bytes()
        content += struct.pack("<I", len(data) + 4) + data + bytes(8)
    path.write_bytes(content)


def write_picture_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["image1/image_data"] = FILM[0]
        file.create_group("image1/calibration").attrs["calibration_formulas"] = np.bytes_(b"GEO=0.5*PV-32")
        file["image1/calibration"].attrs["calibration_missing_data"] = 255


def write_series_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("film", data=FILM, chunks=(10, 32, 48), compression="gzip", shuffle=True, fletcher32=True)


def write_flow_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((48, 2, 4, 4), np.float32)
        file["date"] = np.array([f"20140101{slot:02d}".encode() for slot in range(1, 49)])


def write_flow_npz(path: Path) -> None:
    np.savez_compressed(path, flow=np.ones((48, 4, 4, 2), np.float32))


def write_windows(path: Path) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (3, 2, 2, 4, 4)).astype(np.float32)
    np.savez(path, X_train=values, Y_train=values, X_test=values, Y_test=values)


def write_idx(path: Path) -> None:
    path.write_bytes(gzip.compress(struct.pack(">iiii", 0x803, 20, 28, 28) + bytes(20 * 784)))


def write_ranges(path: Path) -> None:
    path.write_text("".join(f"person{n:02d}_boxing_d1\t\tframes\t1-95, 96-185, 186-245\n" for n in range(20)))


def write_lists(path: Path) -> None:
    path.write_text("".join(f"S{n}/S{n}_Walking_,{n * 37:06d}\n" for n in range(40)))


def read_recordings(path: Path) -> None:
    for recording in open_recordings([path], path.parent):
        for block in recording.blocks():
            assert block.shape[1:] == recording.frame


def read_flow_h5(path: Path) -> None:
    list(open_flow_h5(path, (2, 4, 4), CALENDAR, RULE).recording.blocks())


def read_flow_npz(path: Path) -> None:
    list(open_flow_npz(path, (2, 4, 4), CALENDAR, RULE, date(2014, 1, 1)).recording.blocks())


def read_cached(path: Path) -> None:
    """Go on with a decoding whose journal is damaged, then read a cache whose index is."""
    source = path.parent / "clip.npy"
    np.save(source, FILM[:4])
    found = open_recordings([source], path.parent)
    size = FrameSize(height=32, width=48, channels=1, fit="crop")
    folder = decode_once("fuzz", found, size).path
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.copytree(folder, partial)
    shutil.copyfile(path, folder / "index.json")
    shutil.copyfile(path, partial / "journal.jsonl")
    try:
        decode_once("fuzz", found, size)
    finally:
        shutil.rmtree(folder)
    np.testing.assert_array_equal(decode_once("fuzz", found, size).frames[:, 0], FILM[:4])
    shutil.rmtree(folder)


def write_index(path: Path) -> None:
    path.write_text(
        '{"format":3,"dtype":"uint8","frame":[1,32,48],"recordings":[{"name":"clip","first":0,"length":4,"note":"",'
        '"sums":[1,2,3]}],"source":"ab","files":1}'
    )


READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    **{name: (WRITERS[name], read_recordings) for name in ("film.npy", "film.h5", "film.nc", "film3.nc", "film.avi")},
    "film.npz": (write_npz, read_recordings),
    "chunked.h5": (write_series_h5, read_recordings),
    "picture.h5": (write_picture_h5, read_recordings),
    "film.mp4": (write_video, read_recordings),
    "film.mkv": (write_video, read_recordings),
    **{f"one{suffix}": (write_picture, read_recordings) for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif")},
    **{f"deep{suffix}": (write_deep, read_recordings) for suffix in (".png", ".tif")},
    **{f"pages{suffix}": (write_pages, read_recordings) for suffix in (".tif", ".gif", ".png")},
    "film.seq": (write_seq, read_recordings),
    "flow.h5": (write_flow_h5, read_flow_h5),
    "flow.npz": (write_flow_npz, read_flow_npz),
    "windows.npz": (write_windows, lambda path: open_window_npz(path, SHAPE)),
    "images.gz": (write_idx, read_idx_images),
    "sequences.npy": (lambda path: np.save(path, FILM[None]), lambda path: SequenceFile(path, 1)),
    "ranges.txt": (write_ranges, lambda path: read_ranges(path.parent, path.name)),
    "lists.txt": (write_lists, lambda path: read_lists(path.parent, [path.name])),
    "index.json": (write_index, read_cached),
}


def mutated(whole: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, cut out, repeat or cut short; half of the time where the structure is."""
    raw = bytearray(whole)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        top = min(HEADER, len(raw)) if draw.random() < 0.5 else len(raw)
        at, size = draw.randrange(max(1, top)), draw.choice((1, 1, 2, 4, 8, 64))
        kind = draw.randrange(6)
        if not raw or kind == 0:
            raw = raw[:at]
        elif kind == 1:
            del raw[at : at + size]
        elif kind == 2:
            raw[at:at] = raw[at : at + size]
        elif kind == 3:
            raw[at : at + size] = draw.choice((b"\0", b"\xff", b"\x7f")) * size
        elif kind == 4:
            raw[at] ^= 1 << draw.randrange(8)
        else:
            raw[at : at + size] = draw.randbytes(size)
    return bytes(raw)


def read_batch(name: str, folder: Path, first: int, count: int, failures: object) -> None:
    _, read = READERS[name]
    whole = (folder / name).read_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (used_memory() + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for seed in range(first, first + count):
        place = folder / str(first)
        place.mkdir(exist_ok=True)
        path = place / name
        path.write_bytes(mutated(whole, random.Random(f"{name} {seed}")))
        signal.alarm(SECONDS)
        try:
            read(path)
        except UserError as error:
            if "\n" in str(error) and name != "index.json":  # records list their problems, one a line
                failures.put((seed, f"several lines: {error}"))  # type: ignore[attr-defined]
        except Exception as error:
            failures.put((seed, f"{type(error).__name__}: {error}"))  # type: ignore[attr-defined]
        signal.alarm(0)
    failures.put(None)  # type: ignore[attr-defined]


def used_memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def fuzz(name: str, folder: Path, count: int) -> list[tuple[int, str]]:
    folder.mkdir(exist_ok=True)
    READERS[name][0](folder / name)
    fork = multiprocessing.get_context("fork")
    found: list[tuple[int, str]] = []
    for first in range(0, count, BATCH):
        failures = fork.SimpleQueue()
        child = fork.Process(target=read_batch, args=(name, folder, first, min(BATCH, count - first), failures))
        child.start()
        child.join()
        while not failures.empty() and (item := failures.get()) is not None:
            found.append(item)
        if child.exitcode:
            found.append((first, f"the process ended with {child.exitcode} (a hang is -14, a crash -11)"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_every_damaged_file_is_read_or_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("STBENCH_CACHE", str(tmp_path / "cache"))
    assert fuzz(name, tmp_path / "data", COUNT) == []


@pytest.mark.parametrize("name", ["film.npy", "film.npz", "one.png", "lists.txt"])
def test_some_damaged_files_are_read_or_refused(tmp_path, name):
    assert fuzz(name, tmp_path / "data", 20) == []
