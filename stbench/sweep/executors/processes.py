"""``--executor processes``: several runs at once, each in a process of its own with a share of the cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stbench.errors import UserError, first_line
from stbench.events import WITH_RESULT, RunListener, SweepListener
from stbench.schema import RunSpec
from stbench.schema.base import Record
from stbench.sweep.executors import Ended
from stbench.train import LATE_IMPORTS
from stbench.train.fork_server import hear_interrupts, start_fork_server
from stbench.train.interrupt import stop_on_signals

if TYPE_CHECKING:  # what needs torch is imported late: the fork server starts meanwhile
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors.place import Place
    from stbench.train.engine import DeviceName

POLL_SECONDS = 0.5
OF_A_RUN = ("stbench.sweep.executors.place", "stbench.sweep.sweep", *LATE_IMPORTS)
"""What a process that does a run imports."""


class Processes(Record):
    """Up to ``jobs`` runs at once.

    A process that the kernel kills, for want of memory say, is no result of its method: the run is done again at the
    end, alone. Killed a second time, it stays unfinished.

    Attributes:
        jobs: how many at once; GPUs are dealt out in turn.
        threads: of each run; by default the cores divided among the runs.
    """

    jobs: int = Field(default=2, ge=1)
    threads: int | None = Field(default=None, ge=1)

    @property
    def threads_each(self) -> int:
        """Threads of one run."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.jobs)

    def prepare(self) -> None:
        """Start the process whose forks will do the runs; it imports while this one does."""
        start_fork_server(__name__, *OF_A_RUN)

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Do every run that is not done yet; a failed one does not stop the others."""
        context = start_fork_server(__name__, *OF_A_RUN)
        threads = self.threads_each
        told: set[str] = set()
        waiting = deque(_Job(spec, workplace, number, len(specs), told) for number, spec in enumerate(specs, 1))
        running: list[_Job] = []
        with stop_on_signals() as stop, _ended_with_me(running):
            while waiting or running:
                while waiting and len(running) < (1 if waiting[0].is_second_try else self.jobs):
                    running.append(waiting.popleft())
                    slot = min(set(range(self.jobs)) - {job.slot for job in running})
                    running[-1].start(context, threads, slot)
                stop.leave()
                for job in _heard_out(running):
                    running.remove(job)
                    if job.is_killed and not job.is_second_try:
                        waiting.append(_Job(job.spec, workplace, job.number, len(specs), told, is_second_try=True))
                    else:
                        yield job.ended(specs)


@contextmanager
def _ended_with_me(running: Sequence[_Job]) -> Iterator[None]:
    """Ask what still runs to save and leave, and wait for it."""
    try:
        yield
    finally:
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.join()


def _heard_out(running: Sequence[_Job]) -> list[_Job]:
    """Pass on what was said in the next half second; returns the jobs that said their last."""
    ready = wait([job.messages for job in running], timeout=POLL_SECONDS)
    return [job for job in running if job.messages in ready and not job.hear()]


def _work(spec: RunSpec, place: Place, messages: Connection) -> None:
    """Do one run and tell how it ended; what is told last is the outcome."""
    from stbench.sweep.sweep import Datasets, do_run

    os.setsid()  # Ctrl-C reaches the process that started this one; it asks politely
    listener = _Sender(messages)
    workplace = place.build(listener)
    with stop_on_signals() as stop:
        hear_interrupts()  # one that came before asks politely too
        try:
            ended = do_run(spec, workplace, Datasets(workplace.data_dirs, listener.data_opened), stop)
            listener.send("ended", outcome=ended.outcome, note=ended.note)
        except UserError as error:
            listener.send("refused", reason=str(error))
        except OSError as error:
            listener.send("ended", outcome="unfinished", note=first_line(error))
        except KeyboardInterrupt:
            listener.send("stopped")


class _Sender(SweepListener, RunListener):
    """Passes the events of a run on to the process that started it; that one may be gone, the run goes on."""

    def __init__(self, messages: Connection) -> None:
        self._messages = messages

    def send(self, event: str, **values: Any) -> None:
        """Tell an event."""
        with suppress(OSError):
            self._messages.send((event, values))

    def data_opened(self, report: str) -> None:
        """Pass it on."""
        self.send("data_opened", report=report)

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - the event's signature
        """Pass it on."""
        self.send("started")
        return self

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Pass it on."""
        self.send("on_step", epoch=epoch, step=step, steps=steps, loss=loss, lr=lr)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        self.send("on_epoch", record=dict(record))

    def on_evaluate(self) -> None:
        """Pass it on."""
        self.send("on_evaluate")

    def on_note(self, text: str) -> None:
        """Pass it on."""
        self.send("on_note", text=text)


class _Job:
    """A run in its process, seen from the one that started it.

    Args:
        spec: the run.
        workplace: of the sweep.
        number: of the run among ``runs``.
        told: reports on data that the listener has heard, shared by all jobs.
        is_second_try: whether its process was killed before; it has no third one.
    """

    process: ForkServerProcess
    messages: Connection

    def __init__(
        self,
        spec: RunSpec,
        workplace: Workplace,
        number: int,
        runs: int,
        told: set[str],
        *,
        is_second_try: bool = False,
    ) -> None:
        self.spec = spec
        self.workplace = workplace
        self.number = number
        self.runs = runs
        self.told = told
        self.is_second_try = is_second_try
        self.slot = -1
        self.listener = RunListener()
        self.last: tuple[str, dict[str, Any]] = ("", {})

    def start(self, context: ForkServerContext, threads: int, slot: int) -> None:
        """Start it, as the one in ``slot`` among those that run."""
        import torch

        from stbench.sweep.executors.place import Place

        self.slot = slot
        self.messages, theirs = context.Pipe(duplex=False)
        device: DeviceName = "cuda" if self.workplace.engine.device.type == "cuda" else "cpu"
        gpu = str(slot % torch.cuda.device_count()) if device == "cuda" else None
        place = Place.of(self.workplace, device, threads, gpu)
        self.process = context.Process(target=_work, args=(self.spec, place, theirs))
        self.process.start()
        theirs.close()

    def hear(self) -> bool:
        """Pass one event on; False when there are no more."""
        try:
            event, values = self.last = self.messages.recv()
        except (EOFError, OSError):
            self.process.join()
            return False
        if event == "data_opened" and values["report"] not in self.told:
            self.told.add(values["report"])
            self.workplace.listener.data_opened(**values)
        elif event == "started":
            self.listener = self.workplace.listener.run_listener(self.spec, self.number, self.runs)
        elif event.startswith("on_"):
            getattr(self.listener, event)(**values)
        return True

    @property
    def is_killed(self) -> bool:
        """Whether a signal ended the process before it told how the run ended."""
        return self.last[0] not in ("ended", "refused", "stopped") and (self.process.exitcode or 0) < 0

    def ended(self, plan: Sequence[RunSpec]) -> Ended:
        """How the run, one of a plan, ended; the folder holds the result.

        Raises:
            UserError: the data of the whole plan are missing or damaged.
            KeyboardInterrupt: it was stopped.
        """
        event, values = self.last
        if event == "stopped":
            raise KeyboardInterrupt
        if event == "refused":
            from stbench.sweep.sweep import without_data

            return without_data(self.spec, plan, UserError(values["reason"]))
        if event != "ended":
            code = self.process.exitcode or 0
            why = f"was killed by signal {-code}, twice" if self.is_killed else f"ended with code {code}"
            return Ended(self.spec, "unfinished", note=f"its process {why}; try again with fewer --jobs")
        has_result = values["outcome"] in WITH_RESULT
        result = self.workplace.folder(self.spec).result() if has_result else None
        return Ended(self.spec, values["outcome"], result, values["note"])
