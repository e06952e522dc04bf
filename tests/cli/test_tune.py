"""``stbench tune``: refusals, and a real search that is killed and finished."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from stbench.cli.search_order import read_limit
from stbench.errors import UserError
from stbench.sweep.tune import study
from tests.cli.commands import TINY, command, stbench

pytest.importorskip("optuna", reason="the search needs optuna: pip install 'stbench[tune]'")

SPACE = """
training.lr: {log: [1e-4, 1e-1]}
convlstm: {hidden: {choice: [[2], [4]]}}
"""
SMALL = ["--set", "simvp.hid_s=4", "--set", "simvp.hid_t=8", "--set", "simvp.n_t=2"]


def search(folder: Path, methods: str = "convlstm,simvp", text: str = SPACE) -> list[str]:
    (folder / "space.yaml").write_text(text)
    return ["tune", "--methods", methods, *TINY, "--space", str(folder / "space.yaml"), "--out", str(folder / "out")]


@pytest.mark.parametrize(("trials", "budget"), [(None, None), (3, "2h")])
def test_every_method_gets_one_kind_of_share(trials: int | None, budget: str | None) -> None:
    with pytest.raises(UserError, match="either --trials 20, or --budget 2h"):
        read_limit(trials, budget)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'stbench\[tune\]'"):
        study.check_optuna()


@pytest.mark.parametrize(
    ("methods", "more", "expected"),
    [
        ("convlstm", ["--seeds", "0..2"], "seed 0 chose the settings"),
        ("convlstm", ["--set", "convlstm.lr=1e-3"], "training.lr of convlstm is fixed by an option and varied in"),
        ("convlstm", ["--protocol", "legacy"], "legacy selects on the test split"),
        ("convlstm,persistence", [], "persistence is not trained"),
        ("convlstm", ["--budget", "1e15MACs"], "either --trials 20, or --budget"),
    ],
)
def test_refusals(tmp_path: Path, methods: str, more: list[str], expected: str) -> None:
    done = stbench(*search(tmp_path, methods), "--trials", "2", *more)
    assert done.returncode == 2
    assert expected in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_value_that_no_run_can_have_is_found_before_any_trial(tmp_path: Path) -> None:
    text = "training.lr: {log: [1e-4, 1e-1]}\nconvlstm.sampling: {choice: [none, sheduled]}"
    done = stbench(*search(tmp_path, "convlstm", text), "--trials", "2")
    assert done.returncode == 2
    assert "sampling = 'sheduled'" in done.stderr
    assert "space.yaml" in done.stderr


def trials_of(out: Path) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = json.loads((out / "tune" / "tune.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in trials]


def ended(out: Path) -> int:
    """Trials that the journal says have ended."""
    file = out / "tune" / study.JOURNAL
    return file.read_text().count('"state":') if file.is_file() else 0


@pytest.mark.slow
def test_a_killed_search_is_finished_by_the_same_command(tmp_path: Path) -> None:
    """Trials, best settings and scores are those of a search that nothing interrupted."""
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    arguments = [*search(tmp_path / "killed"), "--trials", "3", "--seeds", "1", *SMALL]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 240
    while ended(tmp_path / "killed" / "out") < 2 and time.monotonic() < end:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = ended(tmp_path / "killed" / "out")
    assert 2 <= kept < 6
    again = stbench(*arguments)
    assert again.returncode == 0, again.stderr
    assert f"[{kept}/6]" not in again.stdout, "an ended trial is not done again"
    whole = stbench(*search(tmp_path / "whole"), "--trials", "3", "--seeds", "1", *SMALL)
    assert whole.returncode == 0, whole.stderr
    out, other = tmp_path / "killed" / "out", tmp_path / "whole" / "out"
    assert trials_of(out) == trials_of(other)
    assert [trial["method"] for trial in trials_of(out)] == ["convlstm"] * 3 + ["simvp"] * 3
    assert not list((out / "tune" / "runs").glob("*/result.json")), "no trial is tested"
    results = {run.name: json.loads((run / "result.json").read_text())["test"] for run in (out / "runs").iterdir()}
    assert results == {
        run.name: json.loads((run / "result.json").read_text())["test"] for run in (other / "runs").iterdir()
    }
    assert {name.split("-")[2] for name in results} == {"convlstm", "simvp", "persistence", "climatology"}
    best = yaml.safe_load((out / "tune" / "best.yaml").read_text())
    assert set(best["methods"]) == {"convlstm", "simvp"}
    same = stbench("run", "--config", str(out / "tune" / "best.yaml"), "--out", str(out), "--dry-run")
    assert same.stdout.count("done") >= 4, "the experiment file names the same runs"
    for name in ("best.md", "trials.csv", "expected.png", "expected.csv"):
        assert (out / "tune" / name).stat().st_size > 0


@pytest.mark.slow
def test_trials_in_processes_of_their_own(tmp_path: Path) -> None:
    """Two at once; what one process trains, this one follows and gives up through the run folder."""
    done = stbench(*search(tmp_path), "--trials", "4", "--no-final", "--jobs", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "The test split was left alone" in done.stdout
    trials = trials_of(tmp_path / "out")
    assert [trial["method"] for trial in trials] == ["convlstm"] * 4 + ["simvp"] * 4
    assert {trial["state"] for trial in trials} <= {"finished", "pruned"}
    for trial in trials:
        run = tmp_path / "out" / "tune" / "runs" / trial["run"]
        assert len((run / "history.jsonl").read_text().splitlines()) == trial["epochs"]
        assert trial["epochs"] == 3 or trial["state"] == "pruned"
    assert not (tmp_path / "out" / "runs").exists()
    assert not list((tmp_path / "out" / "tune" / "runs").glob("*/result.json"))
