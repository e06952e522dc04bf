"""Runs in processes of their own: settings, a killed process, a stop, and the numbers of one process."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stbench.errors import UserError
from stbench.events import RunListener, SweepListener
from stbench.schema import RunSpec
from stbench.settings import parse_override
from stbench.sweep.execute import Workplace
from stbench.sweep.executors import get_executor, processes
from stbench.sweep.executors.processes import Processes
from stbench.sweep.plan import Request, make_plan
from stbench.train.engine import Engine
from tests.cli.commands import TINY_CONVLSTM, stbench


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("processes", {"jobs": 0}, "jobs = 0"),
        ("processes", {"job": 2}, "Did you mean 'jobs'"),
        ("local", {"jobs": 2}, "'local' has no settings"),
        ("process", {}, "Did you mean 'processes'"),
    ],
)
def test_mistakes_in_settings(name: str, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        get_executor(name, settings)


def test_threads_and_jobs_are_settings() -> None:
    assert get_executor("processes", {"jobs": 3, "threads": 1}) == Processes(jobs=3, threads=1)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--jobs", "2", "--executor-set", "jobs=2"], "Give one or the other"),
        (["--jobs", "2", "--devices", "2"], "each run has one device"),
    ],
)
def test_flags_that_contradict_each_other(flags: list[str], expected: str) -> None:
    done = stbench("run", "--methods", "tau", "--dataset", "moving_digits", *flags)
    assert done.returncode == 2
    assert expected in done.stderr


@pytest.fixture
def specs() -> tuple[RunSpec, ...]:
    overrides = [parse_override("dataset.test_clips=4"), parse_override("dataset.train_clips=8")]
    return make_plan(Request([], "moving_digits", "quick", overrides=overrides)).specs


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, (), Engine("cpu"))


@pytest.mark.slow
def test_a_killed_process_is_no_result_of_its_run(
    place: Workplace, specs: tuple[RunSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process is killed by the kernel's means; its run is done again, after the others."""
    started: list[processes._Job] = []
    real = processes._Job.start

    def start_and_kill(job: processes._Job, *arguments: Any) -> None:
        real(job, *arguments)
        started.append(job)
        if len(started) == 1:
            os.kill(job.process.pid or 0, signal.SIGKILL)

    monkeypatch.setattr(processes._Job, "start", start_and_kill)
    ended = list(Processes(jobs=1).submit(specs, place))
    assert [job.spec for job in started] == [*specs, specs[0]]
    assert [(end.spec, end.outcome) for end in ended] == [(s, "finished") for s in (*specs[1:], specs[0])]


@pytest.mark.slow
def test_a_process_killed_twice_leaves_its_run_to_the_next_command(
    place: Workplace, specs: tuple[RunSpec, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run finishes, and the same sweep does the run that is missing."""
    real = processes._Job.start

    def start_and_kill(job: processes._Job, *arguments: Any) -> None:
        real(job, *arguments)
        if job.spec == specs[0]:
            os.kill(job.process.pid or 0, signal.SIGKILL)

    with monkeypatch.context() as killing:
        killing.setattr(processes._Job, "start", start_and_kill)
        finished, killed = Processes().submit(specs, place)
    assert (finished.spec, finished.outcome) == (specs[1], "finished")
    assert (killed.spec, killed.outcome) == (specs[0], "unfinished")
    assert "killed by signal 9, twice" in killed.note
    assert not place.folder(specs[0]).is_complete
    again = {end.spec.method: end.outcome for end in Processes().submit(specs, place)}
    assert again == {specs[0].method: "finished", specs[1].method: "already done"}


def test_every_event_of_a_run_is_passed_on() -> None:
    events = {name for name in vars(RunListener) if name.startswith("on_")}
    assert events == {name for name in vars(processes._Sender) if name.startswith("on_")}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "processes"])
def test_missing_data_of_one_run_do_not_stop_runs_on_others(
    executor: str, place: Workplace, specs: tuple[RunSpec, ...], tmp_path: Path
) -> None:
    lost = make_plan(Request([], "taxibj", "quick")).specs[:1]
    place = replace(place, data_dirs=(tmp_path / "no data",))
    ended = list(get_executor(executor).submit([*lost, *specs], place))
    assert sorted((end.spec.benchmark, end.outcome) for end in ended) == [
        *([("moving_digits", "finished")] * len(specs)),
        ("taxibj", "unfinished"),
    ]
    with pytest.raises(UserError, match="taxibj"):
        list(get_executor(executor).submit(lost, place))


@pytest.mark.slow
def test_a_stop_waits_for_what_runs_and_keeps_it(place: Workplace) -> None:
    """Ctrl-C in the middle of an epoch: the run saves, leaves, and is resumed by the next sweep."""
    overrides = [parse_override(o) for o in ("dataset.test_clips=4", "dataset.train_clips=64", "convlstm.hidden=[4]")]
    request = Request(["convlstm"], "moving_digits", "quick", training={"epochs": 40}, overrides=overrides)
    (spec,) = (spec for spec in make_plan(request).specs if spec.trained)

    class Interrupting(SweepListener, RunListener):
        def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:
            return self

        def on_epoch(self, record: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(Processes().submit([spec], replace(place, listener=Interrupting())))
    folder = place.folder(spec)
    assert not folder.is_complete
    assert 0 < len(folder.history()) < 40


@pytest.mark.slow
def test_the_table_is_that_of_one_process(tmp_path: Path) -> None:
    arguments = ["run", "--methods", "convlstm", *TINY_CONVLSTM, "--epochs", "1", "--seeds", "0,1"]
    tables = []
    for name, more in {"local": [], "processes": ["--jobs", "2", "--executor-set", "threads=1"]}.items():
        done = stbench(*arguments, *more, "--out", str(tmp_path / name), env={"OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(tmp_path / name / "table.csv")
        timed = [column for column in table if "second" in column or "finished" in column]
        tables.append(table.drop(columns=timed))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
