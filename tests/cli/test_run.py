"""``stbench run`` in real processes: finish, reuse, kill and resume, fail."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from stbench.report.numbers import format_duration
from stbench.schema.folder import RunFolder
from tests.cli.commands import TINY, TINY_CONVLSTM, command, only, stbench


def deterministic(path: Path) -> dict:
    """A result without what depends on the clock."""
    result = json.loads(path.read_text())
    return {
        k: v for k, v in result.items() if not k.endswith("seconds") and k not in ("seconds_per_epoch", "finished_at")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    done = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "persistence" in done.stdout
    assert "mse_frame" in done.stdout
    return out


def test_run_folder_is_complete(whole: Path) -> None:
    folder = only(whole / "runs", "*convlstm*")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "spec.yaml",
        "environment.json",
        "curve.jsonl",
        "history.jsonl",
        "learning_rate.npy",
        "result.json",
        "per_sequence.parquet",
        "samples.npz",
        "checkpoints",
    }
    spec = yaml.safe_load((folder / "spec.yaml").read_text())
    assert spec["origins"]["config.hidden"] == "--set"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["device"]
    assert environment["libraries"]["torch"]
    assert environment["plugins"].keys() == {
        "method convlstm",
        "dataset reader moving_images",
        "benchmark moving_digits",
        "optimizer adam",
        f"schedule {spec['training']['schedule']['kind']}",
        *(f"metric {name}" for name in spec["evaluation"]["metrics"]),
        "executor local",
    }
    assert environment["plugins"]["method convlstm"].startswith("stbench ")


def test_table_names_its_runs(whole: Path) -> None:
    markdown = (whole / "table.md").read_text()
    folder = only(whole / "runs", "*convlstm*")
    assert f"[{folder.name}](runs/{folder.name})" in markdown
    assert "single seed" in markdown
    lines = (whole / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * (5 + 1)  # psnr_pooled stands beside psnr
    assert any(folder.name in line and ",mse_frame," in line for line in lines)


def test_a_finished_plan_is_found_not_redone(whole: Path) -> None:
    result = only(whole / "runs", "*convlstm*") / "result.json"
    before = result.stat().st_mtime_ns
    again = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(whole))
    assert again.returncode == 0
    assert again.stdout.count("already done") == 3
    assert "changed since" not in again.stdout
    assert result.stat().st_mtime_ns == before


def altered(whole: Path, out: Path, **values: str) -> tuple[Path, Path]:
    """A copy of a sweep whose ConvLSTM result says something else, and that result's path."""
    shutil.copytree(whole, out)
    path = only(out / "runs", "*convlstm*") / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values, "checksum": ""}))
    return out, path


def test_changed_code_is_told_and_redone_on_demand(whole: Path, tmp_path: Path) -> None:
    out, path = altered(whole, tmp_path / "out", method_source="before")
    found = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out))
    assert found.stdout.count("its code has changed since; --redo repeats the run") == 1
    again = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out), "--redo")
    assert again.returncode == 0, again.stderr
    assert "already done" not in again.stdout
    assert deterministic(path) == deterministic(only(whole / "runs", "*convlstm*") / "result.json")
    assert len(list((out / "runs").glob(".*convlstm*"))) == 1


def test_changed_data_are_told(whole: Path, tmp_path: Path) -> None:
    out, _ = altered(whole, tmp_path / "out", data_fingerprint="before")
    found = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out))
    assert found.returncode == 0
    assert found.stdout.count("the data have changed since; --redo repeats the run") == 1


def test_the_plan_says_what_is_done_and_how_long_the_rest_takes(whole: Path) -> None:
    """The new seed trains as long as the finished one did; another size says nothing."""
    again = ["run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(whole), "--dry-run"]
    plan = stbench(*again, "--seeds", "0,1").stdout
    lines = {line.split()[2]: line for line in plan.splitlines() if line.startswith("convlstm")}
    assert " done " in lines["0"]
    seconds = json.loads((only(whole / "runs", "*convlstm*") / "result.json").read_text())["seconds_per_epoch"]
    assert f"~ {format_duration(3 * seconds)}" in lines["1"]
    other = stbench(*again, "--set", "convlstm.hidden=[5]").stdout
    assert "~" not in other


def test_a_run_in_other_hands_is_not_a_success(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    folder = RunFolder(only(out / "runs", "*convlstm*"))
    folder.file("result.json").unlink()
    with folder.locked() as mine:
        assert mine
        done = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out))
    assert done.returncode == 1
    assert "busy" in done.stdout
    assert "not in the table: another process is working on it" in done.stdout


def test_the_tables_keep_what_earlier_commands_measured(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    done = stbench("run", "--methods", "persistence", *TINY, "--set", "dataset.test_clips=5", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "convlstm" not in done.stdout
    markdown = (out / "table.md").read_text()
    assert markdown.index("5 test clips") < markdown.index("8 test clips")
    assert only(out / "runs", "*convlstm*").name in markdown
    lines = (out / "table.csv").read_text().splitlines()
    assert len(lines) == 1 + (2 + 3) * (5 + 1)


@pytest.mark.parametrize("kind", ["half a file", "another score"])
def test_a_damaged_result_is_put_aside_and_done_again(kind: str, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    folder = only(out / "runs", "*convlstm*")
    text = (folder / "result.json").read_text()
    changed = "{ half" if kind == "half a file" else text.replace('"total": ', '"total": 1', 1)
    (folder / "result.json").write_text(changed)
    again = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(out))
    assert again.returncode == 0, again.stderr
    assert (folder / "result.json.damaged").is_file()
    assert deterministic(folder / "result.json") == deterministic(only(whole / "runs", "*convlstm*") / "result.json")


@pytest.mark.slow
def test_killed_in_epoch_two_ends_with_the_same_bits(whole: Path, tmp_path: Path) -> None:
    arguments = command("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(tmp_path))
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*convlstm*/history.jsonl")):
        assert time.monotonic() < deadline, "the first epoch never ended"
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = only(tmp_path / "runs", "*convlstm*")
    assert not (folder / "result.json").exists()

    resumed = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(tmp_path))
    assert resumed.returncode == 0, resumed.stderr
    undisturbed = only(whole / "runs", "*convlstm*")
    assert deterministic(folder / "result.json") == deterministic(undisturbed / "result.json")
    weights = "checkpoints/best-*.safetensors"
    assert only(folder, weights).read_bytes() == only(undisturbed, weights).read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(whole: Path, tmp_path: Path) -> None:
    arguments = command("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(tmp_path))
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("runs/*convlstm*/history.jsonl")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Repeat the command to continue" in output
    assert (only(tmp_path / "runs", "*convlstm*") / "checkpoints" / "last.pt").is_file()
    assert (only(tmp_path / "runs", "*persistence*") / "result.json").is_file()


def test_a_diverging_run_is_a_failed_cell_and_the_others_go_on(tmp_path: Path) -> None:
    done = stbench(
        *("run", "--methods", "convlstm,convlstm:kernel=3", *TINY_CONVLSTM, "--out", str(tmp_path)),
        *("--set", "convlstm:kernel=3.lr=1e30", "--epochs", "1"),
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 4 runs failed" in done.stdout
    assert "Traceback" not in done.stderr
    assert "diverged" in done.stdout
    table = (tmp_path / "table.md").read_text()
    assert "| convlstm:kernel=3 | [failed](runs/" in table
    assert "| convlstm | " in table
    assert "diverged: the" in table


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--methods", "tua", "--dataset", "moving_digits"], ["Unknown method 'tua'", "Did you mean 'tau'"]),
        (["--methods", "tau", "--dataset", "taxibij"], ["Unknown benchmark 'taxibij'", "Did you mean 'taxibj'"]),
        (["--methods", "tau:", "--dataset", "moving_digits"], ["Method 'tau:'", "NAME:VARIANT"]),
        (["--methods", "tau:mlp_ratio=0.001", "--dataset", "moving_digits"], ["mlp_ratio = 0.001"]),
        (["--methods", "tau:mlp_ratio=.inf", "--dataset", "moving_digits"], ["method 'tau:mlp_ratio=.inf' cannot be"]),
        (["--methods", ",", "--dataset", "taxibj"], ["--methods is empty"]),
        (["--methods", "tau", "--dataset", "taxibj", "--seeds", "0,x"], ["--seeds '0,x'", "whole numbers"]),
        (["--methods", "tau", "--dataset", "taxibj", "--seeds", "0,0"], ["must be different"]),
        (
            ["--methods", "tau", "--dataset", "taxibj", "--data-dir", "/nowhere"],
            ["BJ13_M32x32_T30_InOut.h5", "/nowhere/taxibj", "--data-dir", "STBENCH_DATA", "moving_digits"],
        ),
        (["--methods", "tau", "--dataset", "moving_digits", "--device", "cuda"], ["--device cuda", "--device cpu"]),
    ],
)
def test_mistakes_exit_2_with_one_message(arguments: list[str], expected: list[str], tmp_path: Path) -> None:
    done = stbench("run", *arguments, "--protocol", "quick", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for text in expected:
        assert text in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = stbench("--debug", "run", "--methods", "tua", "--dataset", "moving_digits", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_unwritable_output_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    done = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(blocked / "out"))
    assert done.returncode == 2
    assert "Cannot write to the output folder" in done.stderr
    assert "--out" in done.stderr
    planned = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(blocked), "--dry-run")
    assert planned.returncode == 2
    assert f"{blocked} is a file" in planned.stderr
    assert planned.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "dataset.test_clip=8"], ["dataset.options: unknown key 'test_clip'", "Did you mean 'test_clips'"]),
        (["--set", "dataset.test_clips=many"], ["test_clips = 'many'"]),
        (["--device", "cuda"], ["--device cuda", "--device cpu"]),
        (
            ["--batch-size", "7", "--devices", "2", "--device", "cpu"],
            ["--devices 2: the global batch of 7 clips of 'convlstm'", "Use --batch-size 6 or 8."],
        ),
    ],
)
def test_a_dry_run_finds_what_a_run_would(arguments: list[str], expected: list[str], tmp_path: Path) -> None:
    given = ["--methods", "convlstm", "--dataset", "moving_digits", "--protocol", "quick", "--out", str(tmp_path / "o")]
    done = stbench("run", *given, *arguments, "--dry-run", env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 2
    assert done.stdout == ""
    for text in expected:
        assert text in done.stderr


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--out", str(tmp_path / "out"), "--dry-run")
    assert done.returncode == 0
    assert "convlstm" in done.stdout
    assert not (tmp_path / "out").exists()
