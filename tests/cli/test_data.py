"""``stbench data`` and ``--dataset PATH`` in real processes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stbench.cli.custom import resolve_dataset
from stbench.errors import UserError
from tests.cli.commands import command, only, stbench


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of twelve clips, and the environment that keeps decoded frames away from the user's."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    values = rng.integers(0, 230, (12, 1, 16, 16)) + rng.integers(0, 25, (12, 6, 16, 16))
    np.save(folder / "all.npy", values.astype(np.uint8))
    return folder, {"STBENCH_CACHE": str(tmp_path / "cache")}


def test_own_data_run_end_to_end(clips: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, env = clips
    out = tmp_path / "out"
    done = stbench(
        *("run", "--methods", "persistence", "--dataset", str(folder), "--protocol", "quick", "--out", str(out)),
        *("--t-in", "4", "--t-out", "2", "--split", "0.5,0.25,0.25"),
        env=env,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((only(out / "runs", "custom-clips*persistence*") / "result.json").read_text())
    assert result["test_clips"] == 3
    assert "clips: 6 train, 3 validation, 3 test" in result["data_report"]
    values = np.load(folder / "all.npy")[9:].astype(np.float64) / 255
    truth = ((values[:, 4:] - values[:, 3:4]) ** 2).sum((2, 3)).mean()
    assert result["test"]["mse_frame"]["total"] == pytest.approx(truth, rel=1e-5)


def test_commands_on_own_data(clips: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, env = clips
    first = stbench("data", "prepare", str(folder), env=env)
    assert first.returncode == 0, first.stderr
    place = Path(first.stdout.splitlines()[-1].removeprefix("frame cache: "))
    stamp = (place / "frames.bin").stat().st_mtime_ns
    assert stbench("data", "prepare", str(folder), env=env).stdout == first.stdout
    assert (place / "frames.bin").stat().st_mtime_ns == stamp
    checked = stbench("data", "check", str(folder), env=env)
    assert checked.returncode == 0, checked.stderr
    assert "train and test: no frame in both" in checked.stdout
    assert "all checks passed" in checked.stdout.splitlines()[-1]
    shown = stbench("data", "preview", str(folder), "--out", str(tmp_path / "pictures"), env=env)
    sheet, film = (Path(line) for line in shown.stdout.splitlines())
    with Image.open(sheet) as picture:
        assert len(picture.getcolors(1 << 20) or []) > 20
    with Image.open(film) as animation:
        assert animation.n_frames == 6  # type: ignore[attr-defined]


def test_info_prints_the_card() -> None:
    done = stbench("data", "info", "kth")
    assert done.returncode == 0
    assert "persons 17-25" in done.stdout


def test_get_says_what_to_do_by_hand(tmp_path: Path) -> None:
    done = stbench("data", "get", "nyctaxi30", "--data-dir", str(tmp_path))
    assert done.returncode == 0
    assert "NYTaxi_flow_test_B.npz" in done.stdout
    assert str(tmp_path / "nyctaxi30") in done.stdout
    assert "--from FOLDER" in done.stdout
    assert stbench("data", "get", "moving_digits").stdout.strip() == "moving_digits needs no files."
    assert "nothing to fetch" in stbench("data", "get", str(tmp_path)).stdout


def test_real_kitti_frames_from_a_folder_to_a_picture(shared_dir: Path, tmp_path: Path) -> None:
    """Seven frames of camera 2: shorter clips and shares of time instead of drives and sets, all by --set."""
    env = {"STBENCH_CACHE": str(tmp_path / "cache"), "STBENCH_DATA": str(tmp_path / "data")}
    files = ["--set", 'dataset.files=["**/2011_*_sync/image_02/data/*.png"]']
    split = ["--set", "dataset.split={kind: fraction, by: time, shares: [0.4, 0.3, 0.3]}"]
    sets = [*files, *split, "--set", "dataset.stride=1", "--set", "shape.t_in=1", "--set", "shape.t_out=1"]
    got = stbench("data", "get", "kitticaltech", "--from", str(shared_dir / "data" / "kitti_tiny"), *files, env=env)
    assert got.returncode == 0, got.stderr
    assert "7 files there" in got.stdout
    assert len(list((tmp_path / "data" / "kitticaltech").rglob("2011_09_26_drive_0023_sync/image_02/data/*.png"))) == 7
    prepared = stbench("data", "prepare", "kitticaltech", *sets, env=env)
    assert "clips: 2 train, 1 validation, 1 test" in prepared.stdout, prepared.stderr
    checked = stbench("data", "check", "kitticaltech", *sets, env=env)
    assert checked.returncode == 0, checked.stderr
    assert "(T, C, H, W) = (2, 3, 128, 160)" in checked.stdout
    shown = stbench("data", "preview", "kitticaltech", *sets, "--out", str(tmp_path / "pictures"), env=env)
    with Image.open(shown.stdout.splitlines()[0]) as picture:
        assert len(picture.getcolors(1 << 20) or []) > 1000


def test_info_describes_own_data(clips: tuple[Path, dict[str, str]]) -> None:
    folder, env = clips
    done = stbench("data", "info", str(folder), env=env)
    assert "Clips of 3 + 3 frames (C, H, W) = (1, 16, 16)" in done.stdout
    assert "## Splits" in done.stdout


def test_flags_of_own_data_count_in_data_commands(clips: tuple[Path, dict[str, str]]) -> None:
    folder, env = clips
    flags = ["--t-in", "4", "--t-out", "1", "--split", "0.5,0.25,0.25", "--size", "8x8"]
    done = stbench("data", "check", str(folder), *flags, env=env)
    assert "test: 6 clips (T, C, H, W) = (5, 1, 8, 8)" in done.stdout, done.stderr


def test_get_and_check_real_files(shared_dir: Path, tmp_path: Path) -> None:
    origin = str(shared_dir / "data")
    got = stbench("data", "get", "nyctaxi30", "--from", origin, "--data-dir", str(tmp_path))
    assert got.returncode == 0, got.stderr
    assert got.stdout.count("hash checked") == 2
    assert stbench("data", "check", "nyctaxi30", "--data-dir", str(tmp_path)).returncode == 0
    file = tmp_path / "nyctaxi30" / "NYTaxi_flow_test_B.npz"
    file.write_bytes(file.read_bytes()[:-100])
    spoiled = stbench("data", "check", "nyctaxi30", "--data-dir", str(tmp_path))
    assert spoiled.returncode == 2
    assert "BAD  NYTaxi_flow_test_B.npz" in spoiled.stdout
    assert "cannot be read as npz" in spoiled.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data", "check", "taxinyc", "--data-dir", "/nowhere"], "The files of taxinyc are missing"),
        (["data", "check", "taxibj", "--data-dir", "/no"], "To get them: stbench data get taxibj --data-dir /no\n"),
        (["data", "get", "kth", "--source", "film"], "Unknown --source 'film'. Did you mean 'films'?"),
        (["data", "info", "khth"], "Did you mean 'kth'"),
        (["data", "get", "khth"], "Did you mean 'kth'"),
        (["data", "prepare", "./nowhere"], "no such file or folder"),
        (["data", "check", "moving_digits", "--set", "x"], "expected KEY=VALUE"),
        (["data", "check", "moving_digits", "--set", "dataset.speed=[1"], "cannot read the value"),
        (["data", "check", "moving_digits", "--set", "shape.t_in=0"], "t_in"),
        (["data", "check", "moving_digits", "--set", "dataset.spead=0.2"], "Did you mean 'speed'"),
        (["data", "check", "moving_digits", "--set", "speed=0.2"], "write --set dataset.speed=0.2"),
        (["data", "check", "moving_digits", "--set", "shape.t_im=2"], "Did you mean 't_in'"),
        (["data", "prepare", "custom"], "'custom' is the template for data of your own, not a dataset"),
        (["run", "--methods", "tau", "--dataset", "custom", "--dry-run"], "Name their folder or file instead"),
        (
            ["data", "get", "kitticaltech", "--from", "/nowhere"],
            "**/2011_*_sync/image_03/data/*.png, **/set*/V*.seq",
        ),
    ],
)
def test_mistakes(arguments: list[str], expected: str) -> None:
    done = stbench(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("dataset", "flags", "expected"),
    [
        ("moving_digits", {"t_in": 3}, "--t-in: only for your own data"),
        ("./x", {"split": "a"}, "--split 'a': expected three shares"),
        ("./x", {"split": "nan,nan,nan"}, "--split 'nan,nan,nan': expected three shares between 0 and 1"),
        ("./x", {"split": "inf,0.1,0.2"}, "--split 'inf,0.1,0.2': expected three shares"),
        ("./x", {"split": "0.7,0.1,-inf"}, "expected three shares"),
        ("./x", {"split": "1.1,0.1,-0.2"}, "expected three shares"),
        ("./x", {"split": "0,0,0"}, "expected three shares"),
        ("./x", {"split": "0.5,0.5,0"}, "expected three shares"),
        ("./x", {"split": "0.7,0.1,0.1,0.1"}, "expected three shares"),
        ("./x", {"split": "7,1,2"}, "add up to 1"),
        ("./x", {"size": "9"}, "--size '9': expected height x width"),
        ("./x", {"layout": "HW"}, "layout = 'HW'"),
    ],
)
def test_flags_for_own_data(dataset: str, flags: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        resolve_dataset(dataset, **flags)


@pytest.mark.parametrize("arguments", [["run", "--methods", "tau", "--dataset"], ["data", "check"], ["data", "get"]])
def test_a_folder_is_pointed_out_where_a_benchmark_is_unknown(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    done = subprocess.run(command(*arguments, "good"), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "Unknown benchmark 'good', but there is a folder of that name" in done.stderr
    assert "did you mean ./good?" in done.stderr


def test_the_template_of_own_data_is_listed_nowhere() -> None:
    done = stbench("data", "info", "nothing_like_it")
    assert "Known: bair, bikenyc" in done.stderr
    assert "custom" not in done.stderr
    assert "custom" not in stbench("list", "benchmarks").stdout


def test_a_name_without_flags_stays_a_name() -> None:
    assert resolve_dataset("taxinyc", t_in=None, split=None) == "taxinyc"


def test_help_imports_no_decoder() -> None:

    code = (
        "import sys; from stbench.cli.app import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['data', '--help']).exit_code == 0\n"
        "heavy = {'torch', 'av', 'imageio_ffmpeg', 'h5py', 'PIL', 'numpy', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plan_says_that_data_are_not_here(tmp_path: Path) -> None:
    """A plan is often made on a login node, so that missing files are no mistake."""
    planned = stbench("run", "-m", "persistence", "-d", "taxinyc", "--data-dir", str(tmp_path), "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "Data not found here:" in " ".join((planned.stdout + planned.stderr).split())
    embedded = stbench("run", "-m", "persistence", "-d", "moving_digits", "--data-dir", str(tmp_path), "--dry-run")
    assert "not found" not in embedded.stdout + embedded.stderr


@pytest.mark.parametrize("arguments", [["run", "-m", "tau", "-d"], ["data", "check"], ["data", "info"]])
def test_a_mistyped_dataset_is_said_before_torch_is_loaded(arguments: list[str]) -> None:
    code = "import sys; sys.modules['torch'] = None; from stbench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "moving_digit"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Did you mean 'moving_digits'?" in done.stderr
