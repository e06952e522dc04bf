"""``stbench.load``: the run's own predictions again, in physical units, of any kind, batch and horizon."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stbench
from stbench import UserError, create_method
from stbench.schema import Scaling
from stbench.schema.folder import RunFolder
from stbench.sweep.weights import rescore
from stbench.train.checkpoint import find_best, save_weights
from stbench.train.engine import Engine
from tests.evaluate.conftest import METHODS

OFFSET = np.array([250.0, -2.0])[:, None, None]
SCALE = np.array([50.0, 4.0])[:, None, None]


@pytest.fixture(scope="module")
def past(runs: dict[str, Path]) -> np.ndarray:
    """Test clips in kelvin, (6, 3, 2, 8, 16), computed from the model-space samples by hand."""
    with np.load(runs["tau"] / "samples.npz") as samples:
        return samples["past"].astype(np.float64) * SCALE + OFFSET


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_those_that_were_scored(name: str, runs: dict[str, Path], past: np.ndarray) -> None:
    with np.load(runs[name] / "samples.npz") as samples:
        recorded = samples["prediction"].astype(np.float64) * SCALE + OFFSET
    future = stbench.load(runs[name], "cpu").predict(past)
    assert isinstance(future, np.ndarray)
    assert future.dtype == np.float32
    np.testing.assert_allclose(future, recorded, rtol=0, atol=1e-3)


def test_persistence_returns_the_last_frame_in_kelvin(runs: dict[str, Path], past: np.ndarray) -> None:
    future = stbench.load(runs["persistence"]).predict(past, horizon=5)
    np.testing.assert_allclose(future, np.repeat(past[:, -1:], 5, axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_numpy_and_torch_one_clip_and_a_batch_agree(name: str, runs: dict[str, Path], past: np.ndarray) -> None:
    predictor = stbench.load(runs[name])
    batch = predictor.predict(past)
    one = predictor.predict(torch.from_numpy(past[1]))
    assert isinstance(one, torch.Tensor)
    assert one.shape == (2, 2, 8, 16)
    assert not one.is_inference()
    np.testing.assert_allclose(one.numpy(), batch[1], rtol=1e-5)


def test_a_batch_larger_than_the_protocol_s_is_split(runs: dict[str, Path], past: np.ndarray) -> None:
    predictor = stbench.load(runs["tau"])
    many = np.concatenate([past] * 3)
    assert len(many) > predictor.spec.evaluation.batch_size
    np.testing.assert_allclose(predictor.predict(many)[-1], predictor.predict(past)[-1], rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("horizon", [1, 2, 7])
def test_any_horizon_begins_like_the_run_s_own(
    name: str, horizon: int, runs: dict[str, Path], past: np.ndarray
) -> None:
    predictor = stbench.load(runs[name])
    own, other = predictor.predict(past), predictor.predict(past, horizon=horizon)
    assert other.shape == (len(past), horizon, 2, 8, 16)
    shared = min(2, horizon)
    np.testing.assert_allclose(other[:, :shared], own[:, :shared], rtol=1e-5)


def test_a_parallel_method_reads_its_own_output_again(runs: dict[str, Path], past: np.ndarray) -> None:
    predictor = stbench.load(runs["tau"])
    first = predictor.predict(past, horizon=3)
    again = predictor.predict(first, horizon=3)
    np.testing.assert_allclose(predictor.predict(past, horizon=6)[:, 3:], again, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint16", ">f8", "float16"])
def test_any_number_type_is_read(dtype: str, runs: dict[str, Path]) -> None:
    predictor = stbench.load(runs["tau"])
    past = np.full((3, 2, 8, 16), 260, dtype=dtype)
    np.testing.assert_allclose(predictor.predict(past), predictor.predict(past.astype(np.float32)), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 2, 8, 16), r"has shape \(2, 2, 8, 16\).*\(3, 2, 8, 16\)"),
        ((5, 2, 8, 16), "Give the last 3 frames"),
        ((3, 8, 16), r"has shape \(3, 8, 16\)"),
        ((0, 3, 2, 8, 16), "has shape"),
    ],
)
def test_a_past_of_another_shape_is_refused(shape: tuple[int, ...], message: str, runs: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=message):
        stbench.load(runs["tau"]).predict(np.zeros(shape))


def test_gaps_and_empty_horizons_are_refused(runs: dict[str, Path], past: np.ndarray) -> None:
    predictor = stbench.load(runs["tau"])
    gap = past.copy()
    gap[0, 0, 0, 0, :2] = [np.nan, np.inf]
    with pytest.raises(UserError, match="2 values that are NaN or infinite"):
        predictor.predict(gap)
    with pytest.raises(UserError, match="at least 1"):
        predictor.predict(past, horizon=0)


def test_folders_that_hold_no_finished_run_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        stbench.load(tmp_path)
    unfinished = Path(shutil.copytree(runs["tau"], tmp_path / "unfinished"))
    (unfinished / "result.json").unlink()
    with pytest.raises(UserError, match="not finished"):
        stbench.load(unfinished)
    old = RunFolder(Path(shutil.copytree(runs["tau"], tmp_path / "old")))
    result = old.result().model_copy(update={"scaling": None})
    old.write_result(result)
    with pytest.raises(UserError, match="how its values are scaled"):
        stbench.load(old.path)


def test_weights_of_other_code_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(runs["tau"], tmp_path / "run")))
    other = create_method("convlstm", folder.spec().shape, hidden=(4,), kernel=3, patch=2)
    save_weights(find_best(folder), other)
    for read in (stbench.load, lambda path: rescore(path, (), Engine("cpu"))):
        with pytest.raises(UserError, match=r"does not fit TAU as its code is now .*Missing key.*run it again"):
            read(folder.path)


@pytest.mark.parametrize("kept", [0, 5, 400, -20])
def test_damaged_weights_are_one_line(kept: int, runs: dict[str, Path], tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(runs["tau"], tmp_path / "run")))
    best = find_best(folder)
    best.write_bytes(best.read_bytes()[:kept])
    for read in (stbench.load, lambda path: rescore(path, (), Engine("cpu"))):
        with pytest.raises(UserError, match=r"best-\d+\.safetensors is damaged") as raised:
            read(folder.path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("past", "seen"), [(None, "a NoneType"), ([1.0], "a list"), (np.array(["a"]), "array of <U1")])
def test_a_past_that_is_no_array_of_numbers_is_refused(past: Any, seen: str, runs: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=f"The past is .*{seen}.*Give a numpy array or a torch tensor of numbers"):
        stbench.load(runs["tau"]).predict(past)


def test_scaling_is_undone_by_its_inverse() -> None:
    scaling = Scaling(offset=(250.0, -2.0), scale=(50.0, 4.0))
    x = torch.rand(2, 3, 2, 4, 5)
    torch.testing.assert_close(scaling.to_model(scaling.to_physical(x)), x, rtol=1e-5, atol=1e-5)
    assert scaling.to_physical(torch.ones(2, 1, 1)).flatten().tolist() == [300.0, 2.0]
    with pytest.raises(UserError, match="scale of 0"):
        Scaling.parse({"scale": [0.0]}, "scaling")
