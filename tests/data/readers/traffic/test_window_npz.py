"""The preprocessed npz: same clips as the windows it holds, frames kept once, no leakage, counts recovered."""

from io import BytesIO

import numpy as np
import pytest

from stbench.data import load_benchmark, open_dataset
from stbench.data.readers.traffic.window_npz import count_range, open_window_npz
from stbench.errors import UserError
from stbench.schema import ClipShape, DatasetSpec
from tests.fixtures import taxibj, window_npz
from tests.support import flow_layout

SHAPE = ClipShape(t_in=4, t_out=4, channels=2, height=3, width=3)


def build(folder, hold_out=True, **options):
    spec = load_benchmark("taxibj").dataset
    return open_dataset(
        "taxibj", DatasetSpec(reader=spec.reader, options=spec.options | options), SHAPE, (folder,), hold_out
    )


def test_clips_are_the_files_windows(tmp_path):
    counts = window_npz.write(tmp_path, SHAPE.frame)
    recording, train, test = open_window_npz(tmp_path / "dataset.npz", SHAPE)
    frames = np.concatenate(list(recording.blocks())).transpose(0, 3, 1, 2)
    assert len(frames) == window_npz.FRAMES
    starts = np.arange(window_npz.FRAMES - SHAPE.length + 1)
    truth = counts[starts[:, None] + np.arange(SHAPE.length)] / window_npz.BASE
    np.testing.assert_allclose(frames[np.concatenate([train, test])], truth, atol=1e-6)


@pytest.mark.parametrize("hold_out", [True, False])
def test_splits_share_no_frame(tmp_path, hold_out):
    window_npz.write(tmp_path, SHAPE.frame)
    dataset = build(tmp_path, hold_out)
    train, val, test = (
        set(flow_layout.numbers(dataset.to_physical(s.clips(np.arange(len(s)), 0)).numpy()).ravel())
        for s in (dataset.train, dataset.val, dataset.test)
    )
    assert len(dataset.test) == window_npz.TEST
    assert not train & test
    assert not train & val
    assert (val == test) is not hold_out


def test_counts_are_recovered(tmp_path):
    counts = window_npz.write(tmp_path, SHAPE.frame)
    dataset = build(tmp_path)
    clips = dataset.to_physical(dataset.test.clips(np.arange(1), 0))[0]
    first = window_npz.FRAMES - window_npz.TEST - SHAPE.length + 1
    np.testing.assert_allclose(clips, counts[first : first + SHAPE.length], atol=1e-4)


def test_counts_that_are_none_stay_in_model_space():
    rng = np.random.default_rng(0)
    assert count_range(rng.random((50, 2, 3, 3), dtype=np.float32)) is None
    assert count_range(np.zeros((5, 2, 3, 3), dtype=np.float32)) is None
    largest = 1292
    counts = rng.integers(0, largest + 1, (400, 2, 4, 4)) / largest
    assert count_range(counts.astype(np.float32)) == (0.0, largest)


def test_which_source_is_read(tmp_path):
    window_npz.write(tmp_path, SHAPE.frame)
    taxibj.write(tmp_path, SHAPE.frame)
    split = {"kind": "last_windows", "test": 100}
    assert "from 4 files" in build(tmp_path, prefer="files", split=split).report
    assert "dataset.npz" in build(tmp_path).report


def test_damaged_files(tmp_path):
    window_npz.write(tmp_path, SHAPE.frame)
    path = tmp_path / "dataset.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"dataset\.npz cannot be read as npz"):
        build(tmp_path)
    with np.load(BytesIO(whole)) as file:
        arrays = dict(file)
    np.savez(path, **{key: arrays[key] for key in ("X_train", "Y_train", "X_test")})
    with pytest.raises(UserError, match="lacks the key 'Y_test'; it holds: X_train, Y_train, X_test"):
        build(tmp_path)
    np.savez(path, **arrays | {"Y_train": arrays["Y_train"][:, :2]})
    with pytest.raises(UserError, match=r"Y_train has shape \(123, 2, 2, 3, 3\), expected \(N, 4, 2, 3, 3\)"):
        build(tmp_path)
    np.savez(path, **arrays | {"X_test": arrays["X_test"] * 2})
    with pytest.raises(UserError, match=r"expected them in \[-1, 1\]"):
        build(tmp_path)
    np.savez(path, **arrays | {"Y_test": arrays["Y_test"][1:]})
    with pytest.raises(UserError, match="X_test holds 30 windows and Y_test 29"):
        build(tmp_path)


@pytest.mark.parametrize("hold_out", [True, False])
def test_empty_hours_are_not_one_frame(tmp_path, hold_out):
    """Training loses the windows that overlap a later split, and none for equal frames."""
    counts = window_npz.write(tmp_path, SHAPE.frame)
    counts[np.arange(window_npz.FRAMES) % 24 < 6] = 0
    starts = np.arange(window_npz.FRAMES - SHAPE.length + 1)
    windows = (counts / window_npz.BASE * 2 - 1)[starts[:, None] + np.arange(SHAPE.length)]
    parts = {"train": windows[: -window_npz.TEST], "test": windows[-window_npz.TEST :]}
    arrays = {f"X_{name}": part[:, :4] for name, part in parts.items()}
    np.savez(tmp_path / "dataset.npz", **arrays, **{f"Y_{name}": part[:, 4:] for name, part in parts.items()})
    dataset = build(tmp_path, hold_out, overlap="drop")
    before = len(starts) - window_npz.TEST
    val = round(before * 0.1)
    overlap = SHAPE.length - 1
    expected = (before - val - overlap, val - overlap) if hold_out else (before - overlap, window_npz.TEST)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (*expected, window_npz.TEST)
