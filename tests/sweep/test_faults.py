"""Faults of the machine and mistakes in one run: nothing is recorded as a result, and the sweep goes on."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stbench.errors import MachineError, UserError
from stbench.nn import METHODS
from stbench.schema import RunSpec
from stbench.settings import parse_override
from stbench.sweep import execute as execute_module
from stbench.sweep.execute import Workplace
from stbench.sweep.plan import Request, make_plan
from stbench.sweep.sweep import set_aside, sweep
from stbench.train.engine import Engine


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, (), Engine("cpu"))


@pytest.fixture(scope="module")
def specs() -> tuple[RunSpec, ...]:
    """Persistence and climatology."""
    overrides = [parse_override("dataset.test_clips=4"), parse_override("dataset.train_clips=8")]
    return make_plan(
        Request(methods=["persistence"], benchmark="moving_digits", protocol="quick", overrides=overrides)
    ).specs


def outcomes(specs: tuple[RunSpec, ...], place: Workplace) -> list[str]:
    return [ended.outcome for ended in sweep(specs, place)]


@pytest.mark.slow
def test_every_write_may_fail_and_the_run_is_resumed(
    specs: tuple[RunSpec, ...], place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, [0]

    def failing(at: int) -> Any:
        def fsync(descriptor: int) -> None:
            calls[0] += 1
            if calls[0] == at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        return fsync

    for at in range(1, 20):
        calls[0] = 0
        place = replace(place, root=tmp_path / str(at))
        monkeypatch.setattr(os, "fsync", failing(at))
        first = outcomes(specs[:1], place)
        if calls[0] < at:
            assert first == ["finished"]
            assert at > 5
            return
        assert first == ["unfinished"]
        monkeypatch.setattr(os, "fsync", real)
        assert outcomes(specs[:1], place) == ["finished"]
        left = [path.name for path in place.root.rglob("*") if path.suffix == ".tmp" or path.name == "error.txt"]
        assert left == []
    raise AssertionError("no end of writes")


def test_what_torch_says_of_a_full_disk_is_no_crash(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr("stbench.train.checkpoint.save_file", full)
    assert outcomes(specs, place) == ["unfinished", "unfinished"]
    assert not any(place.folder(spec).is_complete for spec in specs)


@pytest.mark.parametrize(
    "lost",
    [
        RuntimeError(
            "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]"
        ),
        RuntimeError("DataLoader worker (pid(s) 1234) exited unexpectedly"),
        torch.distributed.DistNetworkError("The client socket has failed to connect"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
)
def test_a_lost_process_is_no_result_of_the_method(
    lost: Exception, specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise lost

    monkeypatch.setattr(execute_module.Run, "finish", gone)
    ended = sweep(specs, place)
    assert [run.outcome for run in ended] == ["unfinished", "unfinished"]
    assert all(run.note and "\n" not in run.note for run in ended)
    several = Engine("cpu")
    monkeypatch.setattr(Engine, "world_size", 2)
    monkeypatch.setattr(several, "any", bool)
    with pytest.raises(MachineError):
        sweep(specs, replace(place, engine=several))


def test_a_process_that_fails_alone_ends_the_group(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(execute_module.Run, "finish", crashes)
    monkeypatch.setattr(Engine, "all_meet", lambda _: False)
    assert outcomes(specs, place) == ["unfinished", "unfinished"]
    monkeypatch.setattr(Engine, "all_meet", lambda _: True)
    assert outcomes(specs, place) == ["failed", "failed"]


def test_a_mistake_in_one_run_does_not_stop_the_others(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = execute_module.execute

    def mistaken(spec: RunSpec, *rest: Any) -> Any:
        if spec == specs[0]:
            raise UserError("its last.pt is of another model")
        return real(spec, *rest)

    monkeypatch.setattr("stbench.sweep.sweep.execute", mistaken)
    first, second = sweep(specs, place)
    assert (first.outcome, first.note) == ("unfinished", "its last.pt is of another model")
    assert second.outcome == "finished"


def test_a_success_takes_the_failure_before_it_away(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(execute_module.Run, "finish", crashes)
        assert outcomes(specs[:1], place) == ["failed"]
    folder = place.folder(specs[0])
    assert folder.file("error.txt").is_file()
    assert outcomes(specs[:1], place) == ["already done"]
    assert outcomes(specs[:1], replace(place, retry_failed=True)) == ["finished"]
    assert not folder.file("error.txt").exists()


def test_what_another_process_works_on_is_not_set_aside(specs: tuple[RunSpec, ...], place: Workplace) -> None:
    sweep(specs, place)
    with place.folder(specs[0]).locked():
        set_aside(specs, place.root)
    assert [place.folder(spec).is_complete for spec in specs] == [True, False]


def test_a_method_that_cannot_leave_out_missing_cells_is_a_failed_run(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = execute_module.splits_of
    monkeypatch.setattr(
        "stbench.sweep.sweep.splits_of", lambda *args: replace(real(*args), incomplete=True), raising=False
    )
    plugin = METHODS.get(specs[0].plugin)
    monkeypatch.setattr(plugin, "leaves_out_missing", False)
    (ended, *_) = sweep(specs[:1], place)
    assert ended.outcome == "failed"
    failure = place.folder(specs[0]).result().failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("unsupported", "Persistence cannot leave out missing cells")


def test_a_result_that_the_machine_cannot_read_is_not_damaged(
    specs: tuple[RunSpec, ...], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(specs, place)
    result = place.folder(specs[0]).file("result.json")
    real = Path.open

    def failing(path: Path, *rest: Any, **more: Any) -> Any:
        if path == result:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *rest, **more)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", failing)
        assert outcomes(specs, place) == ["unfinished", "already done"]
    assert outcomes(specs, place) == ["already done", "already done"]
