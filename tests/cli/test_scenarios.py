"""``stbench evaluate RUNS --scenario``: odd run folders and refusals of one run do not stop the others."""

import shutil
from pathlib import Path

import pytest

from tests.cli.commands import TINY, stbench


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Persistence, climatology, and a copy of each way in which a folder can be odd."""
    out = tmp_path_factory.mktemp("out")
    done = stbench("run", "--methods", "persistence", *TINY, "--out", str(out))
    assert done.returncode == 0, done.stderr
    (whole,) = (out / "runs").glob("*persistence*")
    for name in ("torn", "newer", ".hidden"):
        shutil.copytree(whole, whole.with_name(name))
    (whole.with_name("torn") / "result.json").write_text("{")
    (whole.with_name("newer") / "result.json").write_text('{"from": "a newer version"}')
    return out


def test_odd_folders_are_named_and_left_out(runs: Path) -> None:
    done = stbench("evaluate", str(runs), "--scenario", "corrupt:gauss=0,0.1")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert {line.split("  ")[0].split("-")[2] for line in lines if "gauss" in line} == {"persistence", "climatology"}
    assert [line.partition(": ")[2].split(": ")[0].rsplit("/", 1)[-1] for line in lines if "Left out" in line] == [
        "newer",
        "torn",
    ]


def test_what_every_run_refuses_is_one_message(runs: Path) -> None:
    done = stbench("evaluate", str(runs), "--scenario", "slice:hours=7-9")
    assert done.returncode == 2
    assert "has no dates" in done.stderr
    assert done.stderr.count("\n") == 1
