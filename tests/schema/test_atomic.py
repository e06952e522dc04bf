"""Locks and temporary files of processes that are gone, and of those that are not."""

import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from stbench.schema import atomic
from stbench.schema.atomic import lock, write_text, write_with


def half_then_die(temporary: Path) -> None:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def killed_while_writing(path: Path) -> None:
    """A process that dies between filling its temporary file and the rename."""
    child = os.fork()
    if child == 0:
        write_with(path, half_then_die)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_the_next_write_removes_what_a_kill_left(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "table.md")
    killed_while_writing(tmp_path / "other.md")
    assert len(list(tmp_path.glob(".*.tmp"))) == 2
    write_text(tmp_path / "table.md", "whole")
    assert [path.name[:10] for path in tmp_path.glob(".*.tmp")] == [".other.md."]


def test_a_file_that_another_process_is_writing_stays(tmp_path: Path) -> None:
    target = tmp_path / "table.md"

    def second_writer(temporary: Path) -> None:
        temporary.write_text("first")
        child = os.fork()  # another process, which must not take the first one's file for an orphan
        if child == 0:
            write_text(target, "second")
            os._exit(0)
        os.waitpid(child, 0)
        assert target.read_text() == "second"
        assert temporary.exists()

    write_with(target, second_writer)
    assert target.read_text() == "first"


def test_a_forked_process_that_lives_on_holds_no_lock(tmp_path: Path) -> None:
    started, says = os.pipe()
    waits, ends = os.pipe()
    with lock(tmp_path / "lock") as mine:
        assert mine
        child = os.fork()
        if child == 0:
            os.close(ends)
            os.write(says, b"1")
            os.read(waits, 1)
            os._exit(0)
        os.read(started, 1)
    try:
        with lock(tmp_path / "lock") as again:
            assert again
    finally:
        os.close(ends)
        os.waitpid(child, 0)


def test_a_folder_renamed_before_its_lock_is_had_is_not_the_one_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "run", fcntl.flock
    folder.mkdir()

    def renames_first(handle: Any, what: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        folder.rename(tmp_path / "aside")
        folder.mkdir()
        real(handle, what)

    monkeypatch.setattr(fcntl, "flock", renames_first)
    with lock(folder / ".lock") as mine, lock(folder / ".lock") as other:
        assert (mine, other) == (True, False)


def test_files_are_written_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(next(iter(atomic.NO_LOCKS)), "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    write_text(tmp_path / "a", "text")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]
