"""Every shipped benchmark on tiny files in its layout: splits without leaks, invertible scaling."""

from importlib.metadata import entry_points
from itertools import combinations

import numpy as np
import pytest
import torch

from stbench.data import BENCHMARKS, dataset_spec, evenly_spaced, get_protocol, load_benchmark, open_dataset
from stbench.data.inspect.check import check_splits
from stbench.schema import ClipShape, DatasetSpec
from stbench.settings import merge
from tests import fixtures

TINY_IDX = {"md5": None, "val_images": 8, "train_clips": 60, "val_clips": 20, "test_clips": 30}
MV_YEARS = {"split": {"kind": "year", "train": [1980, 1980], "val": [2016, 2016], "test": [2017, 2017]}}
OPTIONS = {
    "taxibj": {"split": {"kind": "last_windows", "test": 100}},
    "mmnist": TINY_IDX,
    "mfmnist": TINY_IDX,
    "noisy_mmnist": TINY_IDX,
    "mmnist_cifar": TINY_IDX | {"backgrounds": {"val_pictures": 8}},
    "bikenyc": {"split": {"kind": "last_windows", "test": 60}},
    "weather_mv": MV_YEARS,
    "moving_digits": {"train_clips": 60, "val_clips": 20, "test_clips": 30},
}
SEVIR = ("sevir", "sevir_diffcast", "sevir_lr", "sevir_prediff")
WEATHER = ("weather_t2m_1p40625", "weather_r", "weather_t2m", "weather_tcc", "weather_uv10")
SHIPPED = (
    *OPTIONS,
    "human",
    "taxinyc",
    "nyctaxi30",
    "nycbike30",
    "kth",
    "kth40",
    "kitticaltech",
    "bair",
    *SEVIR,
    *WEATHER,
)
LEAKING = ("human", "taxibj")  # whose published splits share frames
HALVES = {"X": slice(0, 4), "Y": slice(4, 8)}


@pytest.fixture(scope="module", params=SHIPPED)
def case(request, tmp_path_factory):
    """A benchmark's name, and a folder with tiny files of it."""
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "data"
    fixtures.write(name, folder)
    return name, folder


def build(case, protocol):
    name, folder = case
    benchmark = load_benchmark(name)
    chosen = get_protocol(benchmark, protocol)
    spec = dataset_spec(benchmark, chosen)
    quick = get_protocol(benchmark, "quick").shape  # small frames, whose numbers can be read off them
    shape = quick or benchmark.shape
    values = DatasetSpec(
        reader=spec.reader, options=merge(spec.options, {**_small(benchmark), **OPTIONS.get(name, {})})
    )
    return open_dataset(name, values, shape, (folder,), chosen.selection == "validation")


def _small(benchmark):
    """The dataset options that go with the quick protocol's frames."""
    return {key: value for key, value in get_protocol(benchmark, "quick").dataset.items() if not key.endswith("_clips")}


def frames_of(split):
    """Every frame that is not black, as bytes."""
    clips = split.clips(evenly_spaced(len(split), 400), 0).numpy()
    return {frame.tobytes() for frame in clips.reshape(-1, *clips.shape[2:]) if frame.any()}


def test_the_list_is_complete():
    declared = entry_points(group="stbench.benchmarks")
    shipped = {entry.name for entry in declared if entry.value.startswith("stbench_benchmarks.")}
    assert shipped - BENCHMARKS.hidden == set(SHIPPED)


@pytest.mark.parametrize("protocol", ["paper", "quick", "legacy"])
def test_no_frame_is_in_two_splits(case, protocol):
    dataset = build(case, protocol)
    frames = {name: frames_of(getattr(dataset, name)) for name in ("train", "val", "test")}
    if protocol == "legacy":
        assert frames["val"] == frames["test"]
        leaks = "LEAK as published" in dataset.report
        assert bool(frames["train"] & frames["test"]) == leaks
        assert not leaks or case[0] in LEAKING
    else:
        for first, second in combinations(frames, 2):
            assert not frames[first] & frames[second], (first, second)
    assert all(frames.values())


def test_check_finds_it_in_order(case):
    name, _ = case
    dataset = build(case, "paper")
    findings = check_splits(dataset, load_benchmark(name), hold_out=True)
    assert len(findings) >= 7
    assert [finding for finding in findings if not finding.good] == []


def test_physical_values_come_back_within_float32(case):
    dataset = build(case, "paper")
    clips = dataset.train.clips(np.arange(3), 0)
    physical = dataset.to_physical(clips)
    scale = max(1.0, float(physical.abs().max()))
    back = dataset.scaling.to_model(physical)
    assert (back - clips).abs().max() <= 4 * torch.finfo(torch.float32).eps * scale / min(
        map(abs, dataset.scaling.scale)
    )


def numbered_windows(count):
    """Windows (N, 8, 2, 2, 2) of one series, each frame its number in base 64, between the counts 0 and 64."""
    number = np.arange(count + 7)
    frames = np.zeros((count + 7, 2, 2, 2), np.float32)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1], frames[:, 0, 1, 0] = number % 64, number // 64 % 64, number // 4096
    frames[:, 1, 1, 1] = 64
    scaled = frames / 64 * 2 - 1
    return scaled[np.arange(count)[:, None] + np.arange(8)]


@pytest.mark.parametrize(("hold_out", "train", "val"), [(False, 20461, 500), (True, 20461 - 2046 - 7, 2046 - 7)])
def test_the_preprocessed_traffic_file_in_its_full_count(tmp_path, hold_out, train, val):
    """20 461 and 500 windows as published; where validation is held out, those that share frames are left out."""
    windows = numbered_windows(20461 + 500)
    parts = {"train": windows[:20461], "test": windows[20461:]}
    arrays = {f"{half}_{split}": part[:, place] for split, part in parts.items() for half, place in HALVES.items()}
    np.savez(tmp_path / "dataset.npz", **arrays)
    shape = ClipShape(t_in=4, t_out=4, channels=2, height=2, width=2)
    benchmark = load_benchmark("taxibj")
    spec = dataset_spec(benchmark, get_protocol(benchmark, "paper" if hold_out else "legacy"))
    dataset = open_dataset("taxibj", spec, shape, (tmp_path,), hold_out)
    assert ("LEAK as published: 7 of 500 test clips (1.4 %)" in dataset.report) is not hold_out
    assert "read 20461 training and 500 test windows over 20968 frames" in dataset.report
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (train, val, 500)
    last = dataset.to_physical(dataset.test.clips(np.array([499]), 0))[0, -1, 0].numpy().round().astype(int)
    assert last[0, 0] + 64 * last[0, 1] + 4096 * last[1, 0] == 20967
