"""The first seconds: help and listings are quick and import no torch."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stbench.cli import launch
from stbench.cli.app import app
from stbench.sweep.executors.local import Local
from tests.cli.commands import TINY, stbench

IMPORTS = """
import sys
sys.argv = ["stbench", *{arguments!r}]
from stbench.cli import main
try:
    main()
except SystemExit:
    pass
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        *(["list", k] for k in ("methods", "benchmarks", "metrics", "protocols")),
    ],
)
def test_no_torch(arguments: list[str]) -> None:
    code = IMPORTS.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("methods", ["tau", "Tan et al., CVPR 2023", "no_sa, no_da, no_ddr", "persistence", "every future frame"]),
        ("benchmarks", ["taxibj", "stbench data get", "30.1 GB", "moving_digits", "embedded", "paper, legacy, quick"]),
        ("metrics", ["mse_frame", "Σ", "ssim_legacy", "higher"]),
        ("protocols", ["taxinyc", "50 epochs, batch size 16, cosine", "test", "validation"]),
    ],
)
def test_listings(kind: str, expected: list[str]) -> None:
    done = stbench("list", kind)
    assert done.returncode == 0, done.stderr
    for text in expected:
        assert text in done.stdout


def test_version() -> None:
    done = stbench("--version")
    assert (done.returncode, done.stdout) == (0, f"stbench {version('stbench')}\n")


def test_unknown_kind() -> None:
    done = stbench("list", "method")
    assert done.returncode == 2
    assert "methods" in done.stderr


@pytest.mark.parametrize(
    ("more", "is_done", "expected"),
    [([], False, ["early"]), (["--dry-run"], False, []), ([], True, [])],
    ids=["new", "dry run", "begun before"],
)
def test_an_executor_starts_what_it_needs_for_a_new_sweep_before_torch_is_imported(
    more: list[str], is_done: bool, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    class Prepared(Local):
        def prepare(self) -> None:
            called.append("late" if planned else "early")

    planned: list[bool] = []
    real = launch.check_installed
    monkeypatch.setattr(launch, "check_installed", lambda methods: (planned.append(True), real(methods)))
    monkeypatch.setattr("stbench.sweep.experiment.get_executor", lambda *_: Prepared())
    if is_done:
        (tmp_path / "runs" / "other").mkdir(parents=True)
        (tmp_path / "runs" / "other" / "result.json").touch()
    done = CliRunner().invoke(app, ["run", "--methods", "persistence", *TINY, "--out", str(tmp_path), *more])
    assert done.exit_code == 0, done.output
    assert called == expected


@pytest.mark.parametrize("executor", ["processes", "ray", "ray_cluster", "slurm", "place"])
def test_executors_need_no_torch_to_start(executor: str) -> None:
    code = f"import sys, stbench.sweep.executors.{executor}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("look", "more"),
    [
        ("from stbench.cli.custom import resolve_dataset; resolve_dataset('moving_digits')", {"numpy"}),
        ("from stbench.sweep.experiment import DatasetChoice; DatasetChoice(name='moving_digits').open()", {"numpy"}),
        ("from stbench.data.benchmarks.folders import data_dirs; data_dirs()", set()),
    ],
    ids=["option", "experiment", "folders"],
)
def test_looking_a_benchmark_up_needs_no_file_format(look: str, more: set[str]) -> None:
    unneeded = {"h5py", "PIL", "scipy", "torch"} | more
    code = f"import sys; {look}\nassert not {unneeded} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_command_does_not_look_at_all_objects_at_its_end() -> None:
    code = """
import atexit, gc, sys
sys.argv = ["stbench", "--version"]
from stbench.cli import main
before = gc.get_threshold()[0]
atexit.register(lambda: print(gc.get_freeze_count() > 0, gc.get_threshold()[0] > before))
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True True"
