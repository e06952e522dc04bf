"""Equal content in two splits is found; similar content is not a leak."""

import numpy as np
import pytest

from stbench.data import dataset_spec, open_dataset
from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark
from stbench.data.inspect.check import check_splits
from stbench.data.inspect.leaks import FLAT, frame_contents, shared_clips


def findings(folder, **series):
    """What the check says of splits by content: pair -> (in order, seen)."""
    for split, frames in series.items():
        (folder / split).mkdir()
        np.save(folder / split / "a.npy", frames)
    benchmark = custom_benchmark(str(folder), CustomOptions(t_in=2, t_out=2))
    dataset = open_dataset(
        benchmark.name, dataset_spec(benchmark, benchmark.protocols["paper"]), benchmark.shape, (), True
    )
    found = check_splits(dataset, benchmark, hold_out=True)
    return {item.what.removesuffix(" by content"): (item.good, item.seen) for item in found if "content" in item.what}


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 255, (3, 30, 8, 8), dtype=np.uint8)


def test_a_copied_file_is_a_leak(tmp_path, noise):
    seen = findings(tmp_path, train=noise[0], val=noise[1], test=noise[0][7:])
    assert seen["train and test"] == (False, "20 of the 20 clips of test have a copy in train")
    assert seen["train and val"] == (True, "0 of the 27 clips of val have a copy in train")
    assert seen["val and test"][0]


def test_quiet_frames_are_no_leak(tmp_path, noise):
    calm = noise.copy()
    calm[:, 5:15] = 0  # nights
    calm[:, 20] = noise[0, 20]  # one picture that all recordings have, a title
    seen = findings(tmp_path, train=calm[0], val=calm[1], test=calm[2])
    assert all(good for good, _ in seen.values())
    assert len(seen) == 3


def test_contents_and_runs():
    frames = np.random.default_rng(1).uniform(size=(12, 1, 4, 4)).astype(np.float32)
    frames[3] = 7
    frames[8:11] = frames[1:4]
    contents = frame_contents(frames)
    assert contents[3] == contents[10] == FLAT
    assert (contents[8:11] == contents[1:4]).all()
    assert len(set(contents.tolist())) == 12 - 3
    windows = np.arange(0, 6).reshape(2, 3)  # frames 1, 2, 3 are no window of it, yet a run
    assert shared_clips(contents, windows, np.array([[8, 9, 10], [9, 10, 11], [10, 10, 10]])) == 1
