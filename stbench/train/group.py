"""The group of data-parallel processes: how they start, meet, and learn that one of them is gone.

The processes share a key-value store. Each counts there, so that a process that is killed, or whose machine is lost,
stands still: the first process watches all others, and they watch the first. A process that ends with an error leaves
its reason and its exit code. So no process waits in a collective operation for one that will not come.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from stbench.errors import EXIT_MACHINE, EXIT_USER_ERROR, MachineError, UserError, counted, first_line, is_machine_fault
from stbench.train.launch import OWN, QUIET_LOG, Launch
from stbench.train.network import Meeting, meeting_of, use_interface

START_SECONDS = 300.0
"""How long the processes that stbench starts may take to their first word."""
LAUNCHED_SECONDS = 1800.0
"""The same for those of a launcher; the first may decode frames or time a step before."""
LOOK_SECONDS = 1.0
LOST_LOOKS = 60
"""Looks after which a process that stands still is lost; time in which the watcher itself slept does not count."""
GRACE_LOOKS = 5
"""Looks in which a process may come to the same error by itself as the one that has told of it."""
PARTING_SECONDS = 10.0
COLLECTIVE_TIMEOUT = timedelta(minutes=30)
EXIT_INTERRUPTED = 130
GOES_ON = "Finished epochs are kept; repeat the command to continue."


class Group:
    """The processes of a command, seen from one of them; made once per process.

    Args:
        launch: this process's place.
        meeting: where the store is.
        backend: of collective operations: ``gloo`` or ``nccl``.
        started: processes that this one has started.

    Raises:
        MachineError: not all processes came in time.
    """

    def __init__(
        self, launch: Launch, meeting: Meeting, backend: str, started: Sequence[subprocess.Popen[bytes]] = ()
    ) -> None:
        self.launch = launch
        self.backend = backend
        self._started = started
        self._lock = threading.Lock()
        self._has_left = False
        self._lost: set[int] = set()
        self._leaving = threading.Event()
        seconds = START_SECONDS if launch.by == "stbench" else LAUNCHED_SECONDS
        try:
            self._store = meeting.store(launch, timedelta(seconds=seconds))
            self._gather(seconds)
            use_interface(launch, meeting, self._store)
            dist.init_process_group(
                backend, store=dist.PrefixStore("group", self._store), rank=launch.rank,
                world_size=launch.world_size, timeout=COLLECTIVE_TIMEOUT,
            )  # fmt: skip
        except RuntimeError as error:
            raise MachineError(f"The data-parallel processes did not meet at {meeting}: {first_line(error)}") from error
        self._watcher = threading.Thread(target=self._watch, name="watch-group", daemon=True)
        self._watcher.start()
        atexit.register(self.leave)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell the others if this process fails within the block; where another one failed first, say which.

        The first process speaks for all: the others end without a word, with the same exit code.

        Raises:
            MachineError, UserError: another process is gone, or ended for this reason.
            SystemExit: in place of an error that the first process reports.
        """
        try:
            yield
        except BaseException as error:
            told = self._reason() if is_machine_fault(error) else None
            code, text = told or (_exit_code(error), first_line(error))
            self.leave(code, text)
            if self.launch.rank > 0 and (told is not None or isinstance(error, _TOLD)):
                if told is not None and self._speaks():
                    print(f"Error: {text}", file=sys.stderr, flush=True)
                raise SystemExit(code) from None
            if told is not None:
                raise (UserError if code == EXIT_USER_ERROR else MachineError)(text) from error
            raise

    def leave(self, code: int = 0, text: str = "") -> None:
        """Leave the group; the first process waits a moment for the others. A second call does nothing."""
        with self._lock:
            if self._has_left:
                return
            self._has_left = True
        self._leaving.set()
        with suppress(RuntimeError):
            self._say_last(self._store, code, text)
            if self.launch.rank == 0:
                self._wait_for_others()
        if code == 0 and dist.is_initialized():
            dist.destroy_process_group()

    def _gather(self, seconds: float) -> None:
        """Wait for all processes.

        Raises:
            MachineError: one ended before, or did not come in time.
        """
        ranks = range(self.launch.world_size)
        self._store.add(_beat(self.launch.rank), 1)
        if self.launch.rank > 0:
            self._store.wait(["all here"], timedelta(seconds=seconds))
            return
        end = time.monotonic() + seconds
        while missing := [rank for rank in ranks if not self._store.add(_beat(rank), 0)]:
            ended = [process.returncode for process in self._started if process.poll() is not None]
            if ended:
                raise MachineError(f"A data-parallel process ended as it started (exit code {ended[0]}).")
            if time.monotonic() > end:
                late = counted(len(missing), "data-parallel process", "data-parallel processes")
                raise MachineError(f"{late} of {len(ranks)} did not come within {seconds:.0f} s.")
            time.sleep(0.05)
        self._store.set("all here", "")

    def _watch(self) -> None:
        """Count, and end this process if one that it watches is gone."""
        others = range(1, self.launch.world_size) if self.launch.rank == 0 else (0,)
        seen = dict.fromkeys(others, (0, 0))
        told = 0
        store = self._store.clone()
        while not self._leaving.wait(LOOK_SECONDS):
            try:
                store.add(_beat(self.launch.rank), 1)
                failed = [word for rank in others if (word := self._failure(store, rank)) is not None]
                told += bool(failed)
                if told > GRACE_LOOKS:
                    self._end(store, *failed[0])
                for rank in others:
                    count, looks = store.add(_beat(rank), 0), seen[rank][1] + 1
                    seen[rank] = (count, 0) if count != seen[rank][0] or _last_word(store, rank) else (count, looks)
                    if looks > LOST_LOOKS:
                        self._end(store, EXIT_MACHINE, self._gone([rank]))
            except RuntimeError:  # the store is gone, and with it the first process or the launcher
                self._end(None, EXIT_MACHINE, self._gone([0]))

    def _end(self, store: Any, code: int, text: str) -> None:
        """End this process, which may be in a collective operation that nothing ends."""
        with self._lock:
            if self._has_left:
                return
            if self._speaks(store):
                print(f"Error: {text}", file=sys.stderr, flush=True)
            if store is not None:
                with suppress(RuntimeError):
                    self._say_last(store, code, text)
            os._exit(code)

    def _reason(self) -> tuple[int, str] | None:
        """Exit code and message if another process has failed or stands still; None if all go on."""
        ranks = [rank for rank in range(self.launch.world_size) if rank != self.launch.rank]
        try:
            before = {rank: self._store.add(_beat(rank), 0) for rank in ranks}
            for _ in range(4):
                time.sleep(LOOK_SECONDS)
                for rank in ranks:
                    if (word := self._failure(self._store, rank)) is not None:
                        return word
            gone = [rank for rank in ranks if self._store.add(_beat(rank), 0) == before[rank]]
        except RuntimeError:
            return EXIT_MACHINE, self._gone([0])
        return (EXIT_MACHINE, self._gone(gone)) if gone else None

    def _failure(self, store: Any, rank: int) -> tuple[int, str] | None:
        """Exit code and message of a process that left with an error."""
        word = _last_word(store, rank)
        if word is None or word[0] == 0:
            return None
        return word if rank == 0 else (word[0], f"Process {rank} of {self.launch.world_size} ended: {word[1]}")

    def _gone(self, ranks: Sequence[int]) -> str:
        self._lost |= set(ranks)
        names = f"process {ranks[0]}" if len(ranks) == 1 else f"processes {', '.join(map(str, ranks))}"
        return f"Data-parallel {names} of {self.launch.world_size} (numbered from 0) is gone. {GOES_ON}"

    def _speaks(self, store: Any = None) -> bool:
        """Whether this process reports an error: the first, and where that is gone, one on each node."""
        if self.launch.rank == 0:
            return True
        try:
            store = store or self._store
            before = store.add(_beat(0), 0)
            time.sleep(3 * LOOK_SECONDS)
            if _last_word(store, 0) is not None or store.add(_beat(0), 0) != before:
                return False
        except RuntimeError:
            pass
        return self.launch.local_rank == (1 if self.launch.node == 0 else 0)

    def _say_last(self, store: Any, code: int, text: str) -> None:
        store.set(f"left {self.launch.rank}", json.dumps([code, text]))

    def _wait_for_others(self) -> None:
        end = time.monotonic() + PARTING_SECONDS
        names = [f"left {rank}" for rank in range(1, self.launch.world_size) if rank not in self._lost]
        while names and time.monotonic() < end and not self._store.check(names):
            time.sleep(0.05)
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))


_TOLD = (UserError, OSError, MemoryError, KeyboardInterrupt)
"""Errors that one line tells; of others the traceback is shown, by whichever process has it."""
_GROUP: list[Group] = []


def _beat(rank: int) -> str:
    return f"beat {rank}"


def _last_word(store: Any, rank: int) -> tuple[int, str] | None:
    """Exit code and reason with which a process left; None while it works."""
    if not store.check([f"left {rank}"]):
        return None
    code, text = json.loads(store.get(f"left {rank}"))
    return int(code), str(text)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_MACHINE


def join_group(launch: Launch | None, processes: int, backend: str) -> Group:
    """Meet the other data-parallel processes of this command; starts them if no launcher did.

    Args:
        launch: this process's place; None starts ``processes`` - 1 others.
        processes: their number on this machine.
        backend: of collective operations: ``gloo`` or ``nccl``.

    Raises:
        MachineError: not all came.
        UserError: this process is in a group of another size or backend already, or cannot be started again.
    """
    if _GROUP:
        (group,) = _GROUP
        size = processes if launch is None else launch.world_size
        if (group.launch.world_size, group.backend) != (size, backend):
            raise UserError(
                f"This process is one of {group.launch.world_size} on {group.backend}; {size} on {backend} need a new "
                "one. Do this in a command or script of its own."
            )
        return group
    if launch is not None:
        _GROUP.append(Group(launch, meeting_of(launch), backend))
        return _GROUP[0]
    own = Launch("stbench", processes, 0, 0)
    meeting = Meeting.here()
    started = [_start(replace(own, rank=rank, local_rank=rank), meeting) for rank in range(1, processes)]
    try:
        _GROUP.append(Group(own, meeting, backend, started))
    except BaseException:
        for process in started:
            process.kill()
        raise
    return _GROUP[0]


def leave_group() -> None:
    """Leave the group of this process, if there is one, at the end of its common work."""
    for group in _GROUP:
        group.leave()
    _GROUP.clear()


def _start(launch: Launch, meeting: Meeting) -> subprocess.Popen[bytes]:
    """Start this command once more, as another process of the group.

    Raises:
        UserError: there is no script to start: an interactive session.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:
        raise UserError(
            f"{counted(launch.world_size, 'data-parallel process', 'data-parallel processes')} start this program "
            "again, which an interactive session cannot. Use a script, or devices=1."
        )
    program = [str(Path(sys.argv[0]).absolute())] if spec is None else ["-m", spec.name.removesuffix(".__main__")]
    env = {
        OWN: "1",
        **QUIET_LOG,
        "WORLD_SIZE": str(launch.world_size),
        "RANK": str(launch.rank),
        "LOCAL_RANK": str(launch.local_rank),
        "MASTER_ADDR": meeting.address,
        "MASTER_PORT": str(meeting.port),
    }
    return subprocess.Popen([sys.executable, *program, *sys.argv[1:]], env=os.environ | env)
