"""Open every layout and print one line per split: its windows, times and clips as hashes, and the scaling.

``python -m tests.data.recorded_splits > tests/data/recorded_splits.txt`` records them anew; do that only with a stated
reason, because equal lines are the proof that a change of the pipeline moved no clip of any benchmark.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stbench.data import Split, Splits, dataset_spec, evenly_spaced, get_protocol, load_benchmark, open_dataset
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.schema import ClipShape, DatasetSpec
from tests import fixtures

RECORDED = Path(__file__).with_suffix(".txt")
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CLIPS = 64
LOSSY = ("kth", "kitticaltech", "human")  # decoders may differ in the last bit, so their pixels are not compared
TINY_IDX = {"md5": None, "val_images": 8, "train_clips": 60, "val_clips": 20, "test_clips": 30}
OPTIONS = {
    "taxibj": {"split": {"kind": "last_windows", "test": 100}},
    "mmnist": TINY_IDX,
    "moving_digits": {"train_clips": 60, "val_clips": 20, "test_clips": 30},
}
TINY = (*OPTIONS, "taxinyc", "nyctaxi30", "kth", "kitticaltech", "human", "weather_t2m", "weather_uv10")
REAL = ("taxinyc", "nyctaxi30", "mmnist")
REAL_OWN = ("era5_t2m_uk", "radar_knmi")
SMALL = ClipShape(t_in=4, t_out=4, channels=2, height=3, width=3)

Case = Callable[[Path], Splits]


def tiny(name: str, hold_out: bool) -> Case:
    """A benchmark's reader on its tiny files."""

    def open_in(folder: Path) -> Splits:
        fixtures.write(name, folder)
        return _opened(name, hold_out, "quick", folder)

    return open_in


def window_file(hold_out: bool) -> Case:
    """The traffic reader on the field's npz of windows."""

    def open_in(folder: Path) -> Splits:
        fixtures.window_npz.write(folder, SMALL.frame)
        return open_dataset("taxibj", load_benchmark("taxibj").dataset, SMALL, (folder,), hold_out)

    return open_in


def own_gaps(folder: Path) -> Splits:
    """A dated series of the user's own with a gap."""
    stamps = np.datetime64("2020-01-01T00") + np.arange(120)
    stamps[50:] += 5
    np.savez(folder / "a.npz", values=_series(120), time=stamps.astype("M8[h]"))
    return _own(folder)


def own_folders(folder: Path) -> Splits:
    """Folders of the user's own named after splits, without validation."""
    for seed, name in enumerate(("train", "test")):
        (folder / name).mkdir()
        np.save(folder / name / "a.npy", _series(60, seed))
    return _own(folder)


def own_clips(folder: Path) -> Splits:
    """Many clips of the user's own in one array."""
    np.save(folder / "a.npy", _series(20 * 12).reshape(20, 12, 16, 12))
    return _own(folder, layout="NTHW")


def real(name: str, hold_out: bool) -> Case:
    """A benchmark's reader on the real files."""
    return lambda _: _opened(name, hold_out, "paper", SHARED)


def real_own(name: str) -> Case:
    """Real files as data of the user's own."""
    fill = 0.0 if name == "radar_knmi" else None  # pixels out of the radars' range
    return lambda _: _own(SHARED / name, t_in=4, t_out=4, fill=fill)


CASES: dict[str, Case] = {
    **{f"{name} {hold_out}": tiny(name, hold_out) for name in TINY for hold_out in (True, False)},
    **{f"window_npz {hold_out}": window_file(hold_out) for hold_out in (True, False)},
    "own_gaps True": own_gaps,
    "own_folders True": own_folders,
    "own_clips True": own_clips,
}
REAL_CASES: dict[str, Case] = {
    **{f"real_{name} {hold_out}": real(name, hold_out) for name in REAL for hold_out in (True, False)},
    **{f"real_{name} True": real_own(name) for name in REAL_OWN},
}


def lines(case: str, folder: Path) -> Iterator[str]:
    """The lines of one case; ``folder`` is empty and its own."""
    dataset = (CASES | REAL_CASES)[case](folder)
    yield f"{case} scaling {dataset.scaling.model_dump_json()}"
    for name in ("train", "val", "test"):
        split: Split = getattr(dataset, name)
        every = np.arange(len(split))
        clips = "-"
        if case.split()[0] not in LOSSY:
            some = evenly_spaced(len(split), CLIPS)
            clips = _hash(np.stack([split.clips(some, epoch).numpy() for epoch in (0, 1)]))
        yield f"{case} {name} {len(split)} {_hash(split.frames(every))} {_hash(_minutes(split.times(every)))} {clips}"


def _opened(name: str, hold_out: bool, protocol: str, folder: Path) -> Splits:
    benchmark = load_benchmark(name)
    chosen = get_protocol(benchmark, protocol)
    options = dataset_spec(benchmark, chosen).options | ({} if folder == SHARED else OPTIONS.get(name, {}))
    spec = DatasetSpec(reader=benchmark.dataset.reader, options=options)
    return open_dataset(name, spec, chosen.shape or benchmark.shape, (folder,), hold_out)


def _own(folder: Path, t_in: int = 2, t_out: int = 2, **options: Any) -> Splits:
    benchmark = custom_benchmark(str(folder), CustomOptions(t_in=t_in, t_out=t_out, **options))
    spec = dataset_spec(benchmark, benchmark.protocols["paper"])
    return open_dataset(benchmark.name, spec, benchmark.shape, (), True)


def _series(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**20, (frames, 16, 12)).astype(np.float32)


def _minutes(seconds: np.ndarray | None) -> np.ndarray | None:
    """Whole minutes, in which the lines were recorded."""
    return None if seconds is None else seconds // 60


def _hash(values: np.ndarray | None) -> str:
    return "-" if values is None else hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["STBENCH_CACHE"] = cache
        for number, each in enumerate(CASES | REAL_CASES):
            own = Path(cache) / str(number)
            own.mkdir()
            for line in lines(each, own):
                print(line)
