"""``stbench evaluate`` and ``stbench predict`` on finished runs of the ramp benchmark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from stbench import UserError, create_method
from stbench.cli.app import app
from stbench.schema.folder import RunFolder
from stbench.train.checkpoint import find_best, load_weights, save_weights
from tests.support.ramps import finished_runs, registered

PAST = np.random.default_rng(0).uniform(250, 300, (4, 3, 2, 8, 16))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a finished ConvLSTM run."""
    with registered(tmp_path_factory.mktemp("benchmark")):
        yield finished_runs(tmp_path_factory.mktemp("out"), ["convlstm"])["convlstm"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    np.save(tmp_path / "clip.npy", PAST)
    return tmp_path / "clip.npy"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """The one message of a command that must fail as the user's mistake."""
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_a_run_scored_again_is_identical(run: Path) -> None:
    result = invoke("evaluate", "--run", run)
    assert result.exit_code == 0, result.output
    assert result.output.count("identical") == 3  # psnr_pooled stands beside psnr


def test_a_run_whose_weights_changed_is_shown_to_differ(run: Path, tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(run, tmp_path / "run")))
    spec = folder.spec()
    save_weights(find_best(folder), create_method("convlstm", spec.shape, **spec.config))
    result = invoke("evaluate", "--run", folder.path)
    assert result.exit_code == 1
    assert "DIFFERENT" in result.output


def test_a_bundle_with_weights_is_scored_again(run: Path, tmp_path: Path) -> None:
    """Weights that did not make the scores are found by scoring again, and by nothing else."""
    bundle = tmp_path / "bundle"
    done = invoke("report", run, "--bundle", "--weights", "--format", "csv", "--out", bundle)
    assert done.exit_code == 0, done.output
    done = invoke("verify", bundle, "--rescore")
    assert done.exit_code == 0, done.output
    assert f"{run.name}: scored again" in done.output
    folder = RunFolder(bundle / "runs" / run.name)
    spec = folder.spec()
    save_weights(find_best(folder), create_method("convlstm", spec.shape, **spec.config))
    again = invoke("report", bundle, "--bundle", "--weights", "--format", "csv", "--out", bundle)
    assert again.exit_code == 0, again.output
    assert invoke("verify", bundle).exit_code == 0
    done = invoke("verify", bundle, "--rescore")
    assert done.exit_code == 1
    assert "mse_frame is " in done.output


def test_a_published_checkpoint_is_scored_and_its_row_printed(run: Path, tmp_path: Path) -> None:
    folder = RunFolder(run)
    spec = folder.spec()
    method = create_method("convlstm", spec.shape, **spec.config)
    load_weights(find_best(folder), method)
    torch.save({"state_dict": method.public_state_dict()}, tmp_path / "w.ckpt")
    arguments = ("--method", "convlstm", "--dataset", "ramps", "--out", tmp_path / "out")
    result = invoke("evaluate", "--checkpoint", tmp_path / "w.ckpt", *arguments)
    assert result.exit_code == 0, result.output
    assert "hidden=(4,), kernel=3, patch=2" in result.output
    text = " ".join(result.output.split())
    assert "No shape shows" in text
    assert "sampling=scheduled (method default)" in text
    assert "--set convlstm.KEY=VALUE" in text
    assert "convlstm@w.ckpt" in result.output
    (scored,) = (tmp_path / "out" / "runs").glob("ramps-*")
    assert RunFolder(scored).result().test == folder.result().test


def test_evaluate_says_what_is_missing(run: Path, tmp_path: Path) -> None:
    assert "either --run" in refused("evaluate")
    assert "either --run" in refused("evaluate", "--run", run, "--checkpoint", "x.pth")
    assert "needs --method and --dataset" in refused("evaluate", "--checkpoint", "x.pth", "--method", "tau")
    assert "is not a run folder" in refused("evaluate", "--run", tmp_path)


def test_predict_writes_the_future_and_an_animation(run: Path, clip: Path, tmp_path: Path) -> None:
    out, gif = tmp_path / "out.npy", tmp_path / "out.gif"
    result = invoke("predict", "--run", run, "--input", clip, "--output", out, "--gif", gif, "--horizon", 5)
    assert result.exit_code == 0, result.output
    assert "4 x 5 x 2 x 8 x 16" in result.output
    future = np.load(out, allow_pickle=False)
    assert future.shape == (4, 5, 2, 8, 16)
    assert future.dtype == np.float32
    with Image.open(gif) as image:
        assert image.n_frames == 3 + 5
        borders = []
        for frame in range(image.n_frames):
            image.seek(frame)
            borders.append(image.convert("RGB").getpixel((0, image.height - 1)))
    assert borders[:3] == [borders[0]] * 3
    assert borders[3:] == [borders[3]] * 5
    assert borders[0] != borders[3]


def test_predict_overwrites_only_when_told_to(run: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    out.write_text("mine")
    assert "exists" in refused("predict", "--run", run, "--input", clip, "--output", out)
    assert out.read_text() == "mine"
    assert invoke("predict", "--run", run, "--input", clip, "--output", out, "--overwrite").exit_code == 0
    assert np.load(out).shape == (4, 2, 2, 8, 16)


def test_predict_writes_to_regular_files_only(run: Path, clip: Path, tmp_path: Path) -> None:
    def message(output: Path, *more: object) -> str:
        return refused("predict", "--run", run, "--input", clip, "--output", output, "--overwrite", *more)

    folder, pipe, link, lost, loop = (tmp_path / name for name in ("folder", "pipe", "link", "lost", "loop"))
    folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    lost.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    assert "is a folder" in message(folder)
    assert "is a device or pipe" in message(pipe)
    for broken in (link, lost, loop):
        assert "no regular file" in message(broken)
    out = tmp_path / "out.npy"
    assert "is named twice" in message(out, "--gif", out)
    assert "is named twice" in message(clip)
    (tmp_path / "same.npy").hardlink_to(clip)
    assert "is named twice" in message(tmp_path / "same.npy")
    assert np.load(clip).shape == PAST.shape
    assert not out.exists()

    target = tmp_path / "target.npy"
    target.write_text("old")
    out.symlink_to(target)
    assert invoke("predict", "--run", run, "--input", clip, "--output", out, "--overwrite").exit_code == 0
    assert out.is_symlink()
    assert np.load(target).shape == (4, 2, 2, 8, 16)


def test_predict_takes_the_past_frames_dates(run: Path, clip: Path, tmp_path: Path) -> None:
    dates, out = tmp_path / "dates.npy", tmp_path / "out.npy"
    arguments = ("predict", "--run", run, "--input", clip, "--output", out, "--times", dates)
    np.save(dates, np.array(["2016-02-28", "2016-02-29", "2016-03-01"], dtype="M8[D]"))
    assert invoke(*arguments).exit_code == 0
    assert np.load(out).shape == (4, 2, 2, 8, 16)
    np.save(dates, np.zeros(2, dtype=np.int64))
    assert "The times have shape (2,)" in refused(*arguments, "--overwrite")
    np.save(dates, np.zeros(3))
    assert "give one array of dates" in refused(*arguments, "--overwrite")


def test_predict_refuses_files_that_are_no_array_of_numbers(run: Path, tmp_path: Path) -> None:
    def message(path: Path) -> str:
        return refused("predict", "--run", run, "--input", path, "--output", tmp_path / "out.npy")

    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "archive.npz", a=PAST)
    assert "is not a file" in message(tmp_path / "none.npy")
    assert "cannot be read as a .npy file" in message(tmp_path / "text.npy")
    assert "cannot be read as a .npy file" in message(tmp_path / "objects.npy")
    assert "an archive of several arrays" in message(tmp_path / "archive.npz")
    assert not (tmp_path / "out.npy").exists()
