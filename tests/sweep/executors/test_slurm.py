"""Runs as jobs of a real SLURM cluster of one machine: killed, out of time, and without the process that sent them."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stbench.errors import UserError
from stbench.schema.folder import RunFolder
from stbench.sweep.executors import UnavailableError, get_executor, slurm
from tests.cli.commands import TINY, command, stbench
from tests.report.runs import make_run, make_spec, noisy
from tests.support.slurm import cluster_or_skip

WAIT_SECONDS = 300
SMALL = ["tau.hid_s=4", "tau.hid_t=8", "tau.n_t=2", "convlstm.hidden=[4]", "dataset.train_clips=32"]
SIX_RUNS = [
    *("run", "--methods", "tau,tau:no_da,convlstm", *TINY, "--seeds", "0,1", "--epochs", "10"),
    *(part for setting in SMALL for part in ("--set", setting)),
]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"minutes": 0}, "minutes = 0"), ({"partiton": "a"}, "Did you mean 'partition'"), ({"gpus": 2}, "gpus = 2")],
)
def test_mistakes_in_settings(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        get_executor("slurm", settings)


def test_a_machine_without_a_cluster_is_told_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda _: None)
    monkeypatch.setattr(slurm, "find_spec", lambda _: True)
    with pytest.raises(UnavailableError, match="no sbatch here"):
        get_executor("slurm")
    monkeypatch.setattr(slurm, "find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"pip install 'stbench\[slurm\]'"):
        get_executor("slurm")


@pytest.mark.parametrize(
    ("outcome", "has_result", "expected"),
    [("finished", True, True), ("finished", False, False), ("unfinished", False, False), ("", True, False)],
    ids=["its word and its result", "a result that cannot be seen yet", "cancelled", "no word"],
)
def test_a_job_is_over_once_its_result_is_there_though_it_is_still_in_the_queue(
    outcome: str, has_result: bool, expected: bool, tmp_path: Path
) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    if not has_result:
        record.folder.file("result.json").unlink()
    workplace = SimpleNamespace(root=tmp_path, folder=lambda spec: RunFolder(tmp_path / spec.folder))
    job = slurm.Job(record.spec, workplace, 1, 1)  # type: ignore[arg-type]
    (tmp_path / slurm.FOLDER).mkdir()
    job.handed_in("7_0")
    if outcome:
        slurm._say(slurm._words(tmp_path, record.spec), "7_0", outcome, "")
    assert job.is_over({"7_0": "COMPLETING"}) == expected
    assert job.is_over({}) == bool(outcome)


@pytest.mark.parametrize(
    ("state", "outcome", "expected"),
    [
        ("PENDING", "", True),
        ("RUNNING", "", True),
        ("RUNNING", "finished", False),
        ("COMPLETING", "failed", False),
        ("PENDING", "unfinished", True),
        ("COMPLETING", "unfinished", True),
        (None, "", False),
    ],
)
def test_a_job_that_only_tidies_up_is_not_waited_for_but_one_queued_again_is(
    state: str | None, outcome: str, expected: bool, tmp_path: Path
) -> None:
    """A job that is preempted says 'unfinished' and is in the queue again; its run must not be handed in twice."""
    workplace = SimpleNamespace(root=tmp_path, folder=lambda spec: RunFolder(tmp_path / spec.folder))
    job = slurm.Job(make_spec(), workplace, 1, 1)  # type: ignore[arg-type]
    (tmp_path / slurm.FOLDER).mkdir()
    job.handed_in("7_0")
    if outcome:
        slurm._say(slurm._words(tmp_path, job.spec), "7_0", outcome, "")
    assert job.is_coming({} if state is None else {"7_0": state}) == expected


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    yield from cluster_or_skip()


def settings(**values: object) -> list[str]:
    given = {"poll_seconds": 1} | values
    return ["--executor", "slurm", *(part for k, v in given.items() for part in ("--executor-set", f"{k}={v}"))]


def table(out: Path) -> pd.DataFrame:
    found = pd.read_csv(out / "table.csv")
    return found.drop(columns=[name for name in found if "second" in name or "finished" in name])


def alone(*arguments: str) -> None:
    """Run in a process of one thread, as the jobs have."""
    subprocess.run(command(*arguments), env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=True)


def queue(env: dict[str, str], form: str = "%i %T") -> list[str]:
    done = subprocess.run(
        ["squeue", "--me", "--noheader", "--array", f"--format={form}"],
        env=os.environ | env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split("\n")[:-1]


def until(what: str, true: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_killed_driver_and_a_killed_job_lose_nothing(env: dict[str, str], tmp_path: Path) -> None:
    """Six runs; the process that sent them is killed, then one job; the same command ends with the local table."""
    out = tmp_path / "slurm"
    tickets = out / "runs" / ".slurm"
    arguments = [*SIX_RUNS, *settings(), "--out", str(out)]
    driver = subprocess.Popen(command(*arguments), env=os.environ | env, stdout=subprocess.DEVNULL, stderr=-3)
    until("a job trains", lambda: list((out / "runs").glob("*/history.jsonl")))
    driver.kill()
    driver.wait()
    assert len({line.split()[0].partition("_")[0] for line in queue(env)}) == 1  # one array
    sent = {path.name: path.read_text() for path in tickets.glob("*.job")}
    (training, *_) = (out / "runs").glob("*/history.jsonl")
    victim = f"{training.parent.name}.job"
    # Its step, not the job: SLURM would ask a killed job to end first, and it would save and say it was cancelled.
    subprocess.run(["scancel", "--signal=KILL", f"{sent[victim]}.0"], env=os.environ | env, check=True)
    done = stbench(*arguments, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    again = {name for name, number in sent.items() if (tickets / name).read_text() != number}
    assert again == {victim}, "the others are adopted, not sent again"
    alone(*SIX_RUNS, "--out", str(tmp_path / "local"))
    pd.testing.assert_frame_equal(table(out), table(tmp_path / "local"), check_exact=True)


@pytest.mark.slow
def test_a_job_out_of_time_saves_and_is_queued_again(env: dict[str, str], tmp_path: Path) -> None:
    """Asked to save half-way to its limit of two minutes; the run is far longer."""
    out = tmp_path / "slurm"
    long = ["run", "--methods", "convlstm", *TINY, "--set", "convlstm.hidden=[4]", "--epochs", "300"]
    arguments = [*long, *settings(minutes=2, save_seconds=75), "--out", str(out)]
    driver = subprocess.Popen(command(*arguments), env=os.environ | env, stdout=subprocess.DEVNULL, stderr=-3)
    until("it was queued again", lambda: any(re.search(r" [1-9]$", line) for line in _restarts(env)))
    driver.send_signal(signal.SIGINT)
    assert driver.wait(60) == 130
    assert queue(env), "the jobs go on without the process that sent them"
    (saved,) = (out / "runs").glob("*convlstm*/checkpoints/last.pt")
    subprocess.run(["scancel", "--me"], env=os.environ | env, check=True)
    until("the queue is empty", lambda: not queue(env))
    assert saved.stat().st_size > 0


def _restarts(env: dict[str, str]) -> list[str]:
    found = []
    for number in (line.split()[0] for line in queue(env)):
        shown = subprocess.run(
            ["scontrol", "show", "job", number], env=os.environ | env, capture_output=True, text=True
        )
        found += [f"{number} {count}" for count in re.findall(r"Restarts=(\d+)", shown.stdout)]
    return found


@pytest.mark.slow
def test_left_alone_it_is_collected_later(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "slurm"
    few = ["run", "--methods", "persistence", *TINY]
    left = stbench(*few, *settings(detach="true"), "--out", str(out), env=env)
    assert left.returncode == 1
    assert "the same command collects it" in left.stdout + left.stderr
    until("the queue is empty", lambda: not queue(env))
    done = stbench(*few, *settings(detach="true"), "--out", str(out), env=env)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_refused_job_is_one_line(env: dict[str, str], tmp_path: Path) -> None:
    refused = stbench(
        "run", "--methods", "persistence", *TINY, *settings(partition="none"), "--out", str(tmp_path), env=env
    )
    assert refused.returncode == 2
    assert "invalid partition" in refused.stderr
