"""Published checkpoints and finished runs, scored without training."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import stbench
from stbench import ClipShape, Method, UserError, create_method
from stbench.nn import METHODS
from stbench.schema.folder import RunFolder
from stbench.sweep.execute import Workplace, splits_of
from stbench.sweep.weights import SAME, plan_checkpoint, rescore, score_checkpoint
from stbench.train.checkpoint import find_best, load_weights, save_weights
from stbench.train.engine import Engine
from stbench.train.public_weights import PREFIXES, WRAPPERS, read_public_weights

SHAPE = ClipShape(t_in=3, t_out=2, channels=2, height=8, width=16)
SIZES: dict[str, dict[str, Any]] = {
    "tau": {"hid_s": 8, "hid_t": 12, "n_s": 4, "n_t": 3, "mlp_ratio": 3.0, "kernel_enc": 5},
    "tau:no_da": {"hid_s": 8, "hid_t": 12, "n_t": 2, "dynamical_attention": False},
    "simvp": {"hid_s": 8, "hid_t": 16, "n_s": 3, "n_t": 2, "kernels": (3, 5), "groups": 4, "kernel_dec": 5},
    "simvp:gsta": {"hid_s": 4, "hid_t": 8, "n_t": 2, "translator": "gsta", "mlp_ratio": 2.0},
    **{
        f"simvp:{kind}": {"hid_s": 8, "hid_t": 16, "n_s": 4, "n_t": 3, "mlp_ratio": 2.0, "translator": kind}
        for kind in ("vit", "swin", "uniformer", "mlp", "poolformer", "convnext", "van", "hornet", "moga")
    },
    "simvp:convmixer": {"hid_s": 8, "hid_t": 24, "n_s": 2, "n_t": 3, "translator": "convmixer"},
    "swinlstm": {"model": "b", "embed_dim": 6, "depth": 3, "num_heads": (3,), "window": 2, "mlp_ratio": 3.0},
    "swinlstm:d": {
        "model": "d",
        "embed_dim": 4,
        "num_heads": (2, 4),
        "depths_downsample": (1, 3),
        "depths_upsample": (2, 1),
        "window": 2,
    },
    "convlstm": {"hidden": (4, 6, 8), "kernel": 3, "patch": 2, "layer_norm": True},
    "predrnn": {"hidden": (4, 4), "kernel": 5, "patch": 4, "layer_norm": False},
    "predrnnpp": {"hidden": (4, 4, 4), "kernel": 3, "patch": 1, "layer_norm": True},
    "predrnnv2": {"hidden": (6,), "kernel": 3, "patch": 2, "layer_norm": False},
    "mim": {"hidden": (4, 4, 4), "kernel": 3, "patch": 2, "layer_norm": True},
    "mau": {"hidden": (4, 4, 4), "kernel": 3, "downsampling": 8},
    "phydnet": {"hid_s": 32},
    "predformer": {"patch": 2, "dim": 12, "heads": 1, "dim_head": 12, "scale_dim": 3, "ndepth": 2, "depth": 3},
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_show_in_the_shapes(name: str) -> None:
    method = create_method(name, SHAPE, **SIZES[name])
    inferred = METHODS.get(name.split(":")[0]).infer_config(method.public_state_dict(), SHAPE)
    assert {key: inferred[key] for key in SIZES[name]} == SIZES[name]
    again = create_method(name, SHAPE, **inferred)
    again.load_public_state_dict(method.public_state_dict())


@pytest.mark.parametrize("name", [name for name in SIZES if ":" not in name])
def test_nothing_is_inferred_from_a_stranger_s_file(name: str) -> None:
    assert METHODS.get(name).infer_config({"weight": torch.zeros(3)}, SHAPE) == {}


@pytest.fixture
def trained(runs: dict[str, Path]) -> dict[str, Tensor]:
    """The trained TAU of the fixture run, in the public layout."""
    spec = RunFolder(runs["tau"]).spec()
    method = create_method("tau", spec.shape, **spec.config)
    load_weights(find_best(RunFolder(runs["tau"])), method)
    return method.public_state_dict()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", ["bare", "lightning", "parallel"])
def test_every_layout_of_the_releases_is_read(
    wrap: str, legacy: bool, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {
        "bare": trained,
        "lightning": {"epoch": 3, "state_dict": {f"model.{key}": value for key, value in trained.items()}},
        "parallel": {f"module.{key}": value for key, value in trained.items()},
    }[wrap]
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    state = read_public_weights(tmp_path / "a.ckpt")
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[key], value) for key, value in trained.items())


def test_published_weights_score_as_the_run_they_come_from(
    runs: dict[str, Path], trained: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(trained, tmp_path / "tau.pth")
    scored = plan_checkpoint(tmp_path / "tau.pth", "tau", "ramps", "paper", [])
    assert scored.inferred["hid_s"] == 4
    assert scored.spec.origins["config.hid_s"] == "shapes of the published weights"
    assert scored.spec.trained
    workplace = Workplace(tmp_path / "runs", (), Engine("cpu"))
    result = score_checkpoint(scored, splits_of(scored.spec, ()), workplace)
    run = RunFolder(runs["tau"]).result().test
    assert result.test.keys() == run.keys()
    for name, score in result.test.items():  # a buffer's place in memory may decide the order of a convolution's sums
        assert [score.total, *score.lead_times] == pytest.approx([run[name].total, *run[name].lead_times], SAME)
    folder = workplace.folder(scored.spec)
    assert folder.file("per_sequence.parquet").is_file()
    assert stbench.load(folder.path).spec.method == "tau@tau.pth"
    before = folder.file("result.json").stat().st_mtime_ns
    assert score_checkpoint(scored, splits_of(scored.spec, ()), workplace) == result
    assert folder.file("result.json").stat().st_mtime_ns == before


def phydnet_file(path: Path, shape: ClipShape, patch: int) -> Method:
    """A file of PhyDNet's weights, which look the same for every patch."""
    torch.manual_seed(0)
    method = create_method("phydnet", shape, hid_s=32, patch=patch)
    torch.save(method.public_state_dict(), path)
    return method.eval()


PHYDNET_PATCHES = {"taxibj": 2, "mmnist": 4, "weather_t2m": 2, "kth": 4, "human": 4, "kitticaltech": 4}
"""As published."""


@pytest.mark.parametrize("benchmark", PHYDNET_PATCHES)
def test_what_no_shape_shows_is_as_the_benchmark_was_published(benchmark: str, tmp_path: Path) -> None:
    phydnet_file(tmp_path / "phydnet.pth", SHAPE, patch=2)
    scored = plan_checkpoint(tmp_path / "phydnet.pth", "phydnet", benchmark, "paper", [])
    assert scored.assumed["patch"] == (PHYDNET_PATCHES[benchmark], "preset of phydnet")
    assert scored.spec.config["hid_s"] == 32
    assert "hid_s" not in scored.assumed


def test_the_published_phydnet_is_built_with_its_patch(shared_dir: Path, tmp_path: Path) -> None:
    file = shared_dir / "reference" / "phydnet_taxibj.pt"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    data = torch.load(file, weights_only=True)
    torch.save({"state_dict": data["state_dict"]}, tmp_path / "phydnet.ckpt")
    spec = plan_checkpoint(tmp_path / "phydnet.ckpt", "phydnet", "taxibj", "paper", []).spec
    method = create_method("phydnet", spec.shape, **spec.config)
    method.load_public_state_dict(data["state_dict"])
    with torch.no_grad():
        torch.testing.assert_close(method.eval()(data["batch_x"]), data["eval_output"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("patch", [2, 4])
def test_a_patch_can_be_given_where_the_weights_mean_another(patch: int, runs: dict[str, Path], tmp_path: Path) -> None:
    spec = RunFolder(runs["tau"]).spec()
    method = phydnet_file(tmp_path / "phydnet.pth", spec.shape, patch)
    overrides = [("phydnet.patch", str(patch))] if patch == 4 else []  # the protocol's own is 2
    scored = plan_checkpoint(tmp_path / "phydnet.pth", "phydnet", "ramps", "paper", overrides)
    assert scored.assumed["patch"] == (patch, "--set" if overrides else "ramps protocol paper")
    dataset = splits_of(scored.spec, ())
    result = score_checkpoint(scored, dataset, Workplace(tmp_path / "runs", (), Engine("cpu")))
    clips = dataset.test.clips(np.arange(len(dataset.test)), 0)
    with torch.no_grad():
        error = method(clips[:, : spec.shape.t_in]) - clips[:, spec.shape.t_in :]
    assert result.test["mse_frame"].total == pytest.approx(float(error.square().sum((2, 3, 4)).mean()), rel=1e-5)


def test_another_method_s_file_is_one_clear_error(trained: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(trained, tmp_path / "tau.pth")
    for method in ("convlstm", "simvp", "phydnet"):
        scored = plan_checkpoint(tmp_path / "tau.pth", method, "ramps", "paper", [])
        workplace = Workplace(tmp_path / "runs", (), Engine("cpu"))
        with pytest.raises(UserError, match=r"does not fit .*unexpected: .*Check the method"):
            score_checkpoint(scored, splits_of(scored.spec, ()), workplace)
    assert not (tmp_path / "runs").exists()


class Code:
    """What a malicious file holds: opening it the plain way runs a command."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_refused_and_not_run(legacy: bool, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    content = {"state_dict": {"a": torch.zeros(1)}, "hyper_parameters": Code(proof)}
    torch.save(content, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"holds a Python object \(.*mkdir\).*nothing was executed"):
        read_public_weights(tmp_path / "bad.ckpt")
    assert not proof.exists()
    torch.load(tmp_path / "bad.ckpt", weights_only=False)
    assert proof.exists(), "the file is harmless, so the test shows nothing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PurePosixPath("x"), "holds a Python object"),
        ([1, 2], "no state dict but a list"),
        ({}, "no state dict"),
        ({"epoch": 1, "other": {"a": torch.zeros(1)}}, "'epoch' is a int. Its keys: epoch, other"),
    ],
)
def test_files_without_a_state_dict_are_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=message):
        read_public_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken"])
def test_files_that_are_no_checkpoint_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pth is not a torch checkpoint") as raised:
        read_public_weights(tmp_path / "a.pth")
    assert "Error:" not in str(raised.value)
    assert "weights_only" not in str(raised.value)
    with pytest.raises(UserError, match="is not a file"):
        read_public_weights(tmp_path / "b.pth")


@pytest.mark.parametrize("pattern", ["best-*.safetensors", "last.pt"])
def test_a_run_s_own_checkpoint_is_sent_to_its_run(pattern: str, runs: dict[str, Path]) -> None:
    (own,) = (runs["tau"] / "checkpoints").glob(pattern)
    with pytest.raises(UserError, match=rf"stbench's own checkpoint.*Use --run {runs['tau']}\."):
        read_public_weights(own)


@pytest.mark.parametrize("name", ["persistence", "tau", "convlstm"])
def test_a_finished_run_gives_its_numbers_again(name: str, runs: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs[name].rglob("*")}
    again = rescore(runs[name], (), Engine("cpu"))
    assert again.same_data
    assert again.equal
    assert [line.metric for line in again.lines] == ["mse_frame", "psnr", "psnr_pooled"]
    assert {path: path.stat().st_mtime_ns for path in runs[name].rglob("*")} == before


def test_other_weights_are_seen_to_differ(runs: dict[str, Path], tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(runs["tau"], tmp_path / "run")))
    spec = folder.spec()
    save_weights(find_best(folder), create_method("tau", spec.shape, **spec.config))
    assert not rescore(folder.path, (), Engine("cpu")).equal


STATE = {"enc.weight": torch.arange(6.0).reshape(2, 3), "enc.bias": torch.ones(2), "dec.weight": torch.zeros(3)}
COUNTERS = {f"{name}{end}": torch.zeros(1) for name in ("", "enc.", "dec.") for end in ("total_ops", "total_params")}


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    return {"".join((*prefixes, key)): value for key, value in STATE.items()}


WRAPPED: dict[str, Any] = {
    "bare": STATE,
    **{key: {key: STATE, "epoch": 3, "optimizer": {"state": {}}} for key in WRAPPERS},
    "nested": {"model": {"state_dict": STATE}, "epoch": 1},
    **{prefix: prefixed(prefix) for prefix in PREFIXES},
    "compiled in DDP": prefixed("module.", "_orig_mod."),
    "Lightning, DDP, compiled": {"state_dict": prefixed("model.", "module.", "_orig_mod.")},
    "thop": {**STATE, **COUNTERS},
    "thop in DDP": {**prefixed("module."), **{f"module.{key}": value for key, value in COUNTERS.items()}},
    "Lightning with a loss": {"state_dict": {**prefixed("model."), "criterion.weight": torch.ones(1)}, "loops": {}},
    "arguments": {"model": STATE, "args": argparse.Namespace(lr=0.1, layers=[1, 2])},
    "numpy numbers": {"model": STATE, "best": np.float64(0.5), "epoch": np.int64(3), "done": np.bool_(True)},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_every_common_wrapping_is_opened(wrapping: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[wrapping], tmp_path / "w.pth")
    state = read_public_weights(tmp_path / "w.pth")
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], value) for key, value in STATE.items())


def test_safetensors_and_the_old_format_are_opened(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("w.safetensors", "old.pth"):
        assert read_public_weights(tmp_path / name).keys() == STATE.keys()


def test_a_flipped_bit_and_a_pointer_are_named(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save(STATE, file)
    content = bytearray(file.read_bytes())
    content[content.index(np.float32(5).tobytes())] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="a damaged one"):
        read_public_weights(file)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n")
    with pytest.raises(UserError, match="git lfs pull"):
        read_public_weights(file)
