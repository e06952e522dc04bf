"""The published windows, counted by our rules: from the real lists where they are at hand, else from the real sizes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stbench.data import dataset_spec, get_protocol, load_benchmark
from stbench.data.dataset import reader_options
from stbench.data.readers.frame_list import frames_in_use, read_ranges
from stbench.data.readers.listed_clips import read_lists
from stbench.data.splits.windows import Cutter, Span, keep_apart, rule_for

DAY = "2011_{}_drive_{:04d}_sync"
# frames of KITTI's drives of the categories city, residential and road, camera 3
DRIVES = {
    "09_26": {
        1: 108, 2: 77, 5: 154, 9: 447, 11: 233, 13: 144, 14: 314, 15: 297, 17: 114, 18: 270, 19: 481, 20: 86, 22: 800,
        23: 474, 27: 188, 28: 430, 29: 430, 32: 390, 35: 131, 36: 803, 39: 395, 46: 125, 48: 22, 51: 438, 52: 78,
        56: 294, 57: 361, 59: 373, 60: 78, 61: 703, 64: 570, 70: 420, 79: 100, 84: 383, 86: 706, 87: 729, 91: 340,
        93: 433, 95: 268, 96: 475, 101: 936, 104: 312, 106: 227, 113: 87, 117: 660,
    },
    "09_28": {1: 106, 2: 376},
    "09_29": {4: 339, 26: 158, 71: 1059},
    "09_30": {16: 279, 18: 2762, 20: 1104, 27: 1106, 28: 5177, 33: 1594, 34: 1224},
    "10_03": {27: 4544, 34: 4663, 42: 1170, 47: 837},
}  # fmt: skip
NOT_USED = [("09_26", 119), ("09_28", 225), ("09_29", 108), ("09_30", 72), ("10_03", 58), ("09_28", 16)]


@dataclass(frozen=True)
class Drive:
    name: str
    first: int
    length: int


def drives() -> list[Drive]:
    sizes = {DAY.format(day, number): count for day, held in DRIVES.items() for number, count in held.items()}
    sizes |= {DAY.format(day, number): 40 for day, number in NOT_USED} | {"set06/V000": 100}
    found, first = [], 0
    for name, count in sizes.items():
        found.append(Drive(f"x/{name}/image_03/data", first, count))
        first += count
    return found


@pytest.mark.parametrize(("length", "stride", "train"), [(11, 11, 3738), (20, 20, 2042), (13, 13, 3160)])
def test_kitti_windows(length: int, stride: int, train: int) -> None:
    """3738 is what OpenSTL's loader cuts (11 frames, 11 apart); 2042 is the paper's number (20 frames)."""
    benchmark = load_benchmark("kitticaltech")
    options = reader_options("kitticaltech", benchmark.dataset)
    recordings = drives()
    minutes = np.full(sum(drive.length for drive in recordings), np.iinfo(np.int64).min)
    cutter = Cutter(recordings, minutes, length, stride, options.rules)  # type: ignore[attr-defined]
    spans = options.split.spans(recordings, minutes, "x")  # type: ignore[attr-defined]
    assert (len(spans["train"]), sum(span.stop - span.start for span in spans["train"])) == (57, 41396)
    assert len(spans["val"]) == 4
    assert len(cutter.windows(spans["train"])) == train
    assert options.stride == 11  # type: ignore[attr-defined]


def weather(name: str, protocol: str, per_day: int, length: int) -> tuple[int, int]:
    """Training and test windows of whole years."""
    benchmark = load_benchmark(name)
    options = reader_options(name, dataset_spec(benchmark, get_protocol(benchmark, protocol)))
    (first, _), (_, last) = options.split.train, options.split.test  # type: ignore[attr-defined]
    recordings, seconds, at = [], [], 0
    for year in range(first, last + 1):
        start, stop = (np.datetime64(f"{y}-01-01", "s").astype(np.int64) for y in (year, year + 1))
        seconds.append(np.arange(start, stop, 86400 // per_day))
        recordings.append(Drive(f"v_{year}", at, len(seconds[-1])))
        at += len(seconds[-1])
    cutter = Cutter(recordings, np.concatenate(seconds), length)
    divided = options.split.divide(cutter, name)  # type: ignore[attr-defined]
    apart = keep_apart(divided, False, name, join_val=options.split.val_joins_training)  # type: ignore[attr-defined]
    return len(apart.windows.train), len(apart.windows.test)


def test_weather_windows() -> None:
    assert weather("weather_t2m", "legacy", 24, 24) == (52559, 17495)
    assert weather("weather_t2m", "paper", 24, 24) == (52446, 17474)
    assert weather("weather_mv", "legacy", 4, 37) == (54019, 2883)


def test_human_lists(shared_dir: Path) -> None:
    """The first 2000 lines of each real list: three fields, CRLF, and clips that share pictures across the lists."""
    folder = shared_dir / "data" / "human_lists"
    train, test = (read_lists(folder, [f"{name}_head.txt"]) for name in ("train", "test"))
    assert (len(train), len(test)) == (2000, 2000)
    assert test[0] == ("images/S1_Directions.54138969_", 1276)
    raw = (folder / "train_head.txt").read_bytes()
    assert raw.count(b"\r\n") == 2000
    pictures = {(prefix, first + 5 * place) for prefix, first in train for place in range(8)}
    leaking = sum(any((prefix, first + 5 * place) in pictures for place in range(8)) for prefix, first in test)
    oracle = {line.split(",")[0] for line in raw.decode().split("\r\n") if line}
    assert leaking <= sum(prefix in oracle for prefix, _ in test)
    assert leaking > 0


SUBJECTS = {
    "train": {1: 8596, 5: 13920, 6: 8643, 7: 14282, 8: 8973, 9: 11010, 11: 7980},
    "test": {1: 1013, 5: 1612, 6: 1028, 7: 1657, 8: 1051, 9: 1280, 11: 941},
}


def test_human_clips_by_list_and_by_subject(tmp_path: Path) -> None:
    for name, held in SUBJECTS.items():
        lines = [
            f"images/S{subject}_Walking.{name}_,{number},{number + 70}\r\n"
            for subject, count in held.items()
            for number in range(count)
        ]
        (tmp_path / f"{name}.txt").write_bytes("".join(lines).encode())
    counts = [len(read_lists(tmp_path, [f"{name}.txt"])) for name in SUBJECTS]
    assert counts == [73404, 8582]
    benchmark = load_benchmark("human")
    split = reader_options("human", benchmark.dataset).split  # type: ignore[attr-defined]
    pooled = read_lists(tmp_path, ["train.txt", "test.txt"])
    prefixes = sorted({prefix for prefix, _ in pooled})
    recordings = [Drive(prefix, number, 1) for number, prefix in enumerate(prefixes)]
    spans = split.spans(recordings, np.zeros(len(prefixes), np.int64), "human")
    per = {prefix: sum(1 for other, _ in pooled if other == prefix) for prefix in prefixes}
    found = {part: sum(per[prefixes[span.start]] for span in held) for part, held in spans.items()}
    assert found == {"train": 50751, "val": 10024, "test": 21211}


def test_caltech_frames_are_the_third_sixth_and_so_on() -> None:
    options = reader_options("kitticaltech", load_benchmark("kitticaltech").dataset)
    rule = rule_for("set06/V000", options.rules)  # type: ignore[attr-defined]
    assert rule is not None
    assert (rule.step, rule.first) == (3, None)  # places 2, 5, 8 counted from 0


def by_the_public_rule(numbers: list[int], length: int, step: int) -> list[int]:
    """The published loader on the frame numbers of one recording: its window starts, from the last one backwards."""
    starts, end = [], len(numbers) - 1
    while end >= length - 1:
        start = end - length + 1
        if numbers[end] - numbers[start] == length - 1:
            starts.append(start)
            end -= step
        else:
            end -= 1
    return starts


ACTIONS = {
    "boxing": False,
    "handclapping": False,
    "handwaving": False,
    "jogging": True,
    "running": True,
    "walking": False,
}


@pytest.mark.parametrize(("name", "length"), [("kth", 30), ("kth40", 50)])
def test_kth_windows_by_the_public_rule(name: str, length: int, tmp_path: Path) -> None:
    """Recordings of four stretches, some of which touch: the same windows as the published loader cuts."""
    options = reader_options(name, dataset_spec(load_benchmark(name), get_protocol(load_benchmark(name), "legacy")))
    rng = np.random.default_rng(0)
    recordings, lines, expected, first = [], [], [], 0
    for person in range(1, 26):
        for action in list(ACTIONS)[:: 1 + person % 2]:
            stretches, at = [], 0
            for size, gap in zip(rng.integers(8, 160, 4), rng.integers(0, 3, 4), strict=True):
                stretches.append(range(at + int(gap), at + int(gap) + int(size)))
                at = stretches[-1].stop
            stem = f"person{person:02d}_{action}_d1"
            lines.append(f"{stem}\t\tframes\t" + ", ".join(f"{part.start + 1}-{part.stop}" for part in stretches))
            recordings.append(Drive(f"{action}/{stem}_uncomp", first, at))
            numbers = [number for part in stretches for number in part]
            step = 3 if ACTIONS[action] else length
            expected += [first + numbers[start] for start in by_the_public_rule(numbers, length, step)]
            first += at
    (tmp_path / "00sequences.txt").write_text("\n".join(lines))
    in_use = frames_in_use(recordings, read_ranges(tmp_path, options.ranges))  # type: ignore[attr-defined]
    minutes = np.full(first, np.iinfo(np.int64).min)
    cutter = Cutter(recordings, minutes, length, options.stride, options.rules, in_use)  # type: ignore[attr-defined]
    windows = cutter.windows([Span(recording.first, recording.first + recording.length) for recording in recordings])
    assert sorted(windows[:, 0].tolist()) == sorted(expected)
    assert (windows == windows[:, :1] + np.arange(length)).all()
    assert len(windows) > 300
