"""``--executor slurm``: every run a job of a SLURM cluster, submitted through submitit.

Run folders are the truth. This process only hands jobs in, looks at the queue and reads folders: it may be killed, and
the same command finds the jobs that still wait or run. Cluster and submitting machine share the output folder's file
system, its path and this Python environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stbench.errors import UserError, first_line
from stbench.events import WITH_RESULT, SweepListener
from stbench.lazy import collect_seldom
from stbench.schema import RunSpec
from stbench.schema.base import Record
from stbench.schema.folder import write_text
from stbench.sweep.executors import Ended
from stbench.sweep.executors.place import Place
from stbench.sweep.executors.watch import Watch
from stbench.train.interrupt import stop_on_signals

if TYPE_CHECKING:
    from stbench.sweep.execute import Workplace

FOLDER = ".slurm"
"""Below the output folder: submitit's files, logs of jobs, and what each job said last."""
LATE_SECONDS = 10.0
"""How long a file that a node wrote may take to be seen here."""
TIDYING = ("RUNNING", "COMPLETING")
"""States of a job whose run has ended and whose process has not."""
SHORTEST_WAIT, WAIT_SHARE = 0.25, 0.1
"""Seconds between looks at the queue at first, and the share of the time so far that is waited."""


class Slurm(Record):
    """Each run is a job. Near its time limit it saves, is queued again and goes on from there.

    A job that ends without a word (killed, its node lost) is handed in again.

    Attributes:
        partition: of the jobs; the cluster's default if None. So are ``account``, ``qos`` and ``constraint``.
        minutes: time limit of a job, not of its run.
        cpus: cores and threads of a run.
        gpus: of a run, 0 or 1; without one it computes on the CPU.
        memory_gb: of a run; the cluster's default if None.
        at_once: how many run at once.
        retries: how often a run is queued or handed in again.
        save_seconds: how long before its time limit a run is asked to save; longer than its longest step.
        setup: shell lines before each run.
        detach: leave when all is handed in. The same command shows how far it is, or collects.
        poll_seconds: between two looks at the queue; less in the first minute, in which short runs end.
    """

    elsewhere: ClassVar[bool] = True

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    minutes: int = Field(default=1440, ge=1)
    cpus: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0, le=1)
    memory_gb: float | None = Field(default=None, gt=0)
    at_once: int = Field(default=256, ge=1)
    retries: int = Field(default=3, ge=0)
    save_seconds: int = Field(default=120, ge=1)
    setup: tuple[str, ...] = ()
    detach: bool = False
    poll_seconds: float = Field(default=5.0, gt=0)

    def missing(self) -> str:
        """Why it cannot be used here; empty if it can."""
        if find_spec("submitit") is None:
            return "it needs submitit. Install it with: pip install 'stbench[slurm]'"
        if shutil.which("sbatch") is None:
            return "there is no sbatch here. Start it on a machine of the cluster."
        return "squeue gets no answer from the cluster. Is it running?" if _queue() is None else ""

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Hand in every run that is not done and is not in the queue already, and wait for all.

        Raises:
            UserError: the cluster refuses the jobs.
            KeyboardInterrupt: asked to stop; the jobs go on.
        """
        from stbench.sweep.sweep import Datasets, do_run, is_done

        datasets = Datasets(workplace.data_dirs, workplace.listener.data_opened)
        waiting: list[Job] = []
        with stop_on_signals() as stop:
            for number, spec in enumerate(specs, 1):
                if is_done(spec, workplace):
                    yield do_run(spec, workplace, datasets, stop)
                else:
                    waiting.append(Job(spec, workplace, number, len(specs)))
            queue = _queue() or {}
            self._hand_in([job for job in waiting if not job.is_coming(queue)], workplace)
            if self.detach:
                queue = _queue() or {}
                yield from (job.left(queue) for job in waiting)
                return
            try:
                yield from self._collect(waiting, workplace, stop.leave)
            except KeyboardInterrupt:
                if waiting:
                    print(_still_there(waiting), file=sys.stderr, flush=True)
                raise

    def _collect(self, waiting: list[Job], workplace: Workplace, leave: Any) -> Iterator[Ended]:
        began = time.monotonic()
        while waiting:
            queue = _queue()
            if queue is not None:
                again: list[Job] = []
                for job in list(waiting):
                    job.look(queue)
                    if not job.is_over(queue):
                        continue
                    if job.said() is None and job.tries <= self.retries:
                        again.append(job)
                    else:
                        waiting.remove(job)
                        yield job.ended()
                self._hand_in(again, workplace)
            leave()
            if waiting:
                time.sleep(min(self.poll_seconds, SHORTEST_WAIT + WAIT_SHARE * (time.monotonic() - began)))

    def _hand_in(self, jobs: Sequence[Job], workplace: Workplace) -> None:
        import submitit

        if not jobs:
            return
        place = Place.of(workplace, "cuda" if self.gpus else "cpu", self.cpus)
        try:
            executor = submitit.SlurmExecutor(workplace.root.absolute() / FOLDER)
            executor.update_parameters(**self._parameters())
            with executor.batch():
                tickets = [executor.submit(Task(job.spec, place, self.retries)) for job in jobs]
            numbers = [ticket.job_id for ticket in tickets]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError, OSError) as error:
            raise UserError(
                f"sbatch refused the jobs: {first_line(error)}. See the settings in --executor-set."
            ) from error
        for job, number in zip(jobs, numbers, strict=True):
            job.handed_in(number)

    def _parameters(self) -> dict[str, Any]:
        """Of sbatch, in submitit's names."""
        wanted = {
            "job_name": "stbench",
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.minutes,
            "cpus_per_task": self.cpus,
            "gpus_per_node": self.gpus or None,
            "mem": None if self.memory_gb is None else f"{self.memory_gb}GB",
            "array_parallelism": self.at_once,
            "signal_delay_s": self.save_seconds,
            "setup": list(self.setup) or None,
        }
        return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True)
class Task:
    """What a job does: one run. It is pickled once and called again whenever the job is queued again."""

    spec: RunSpec
    place: Place
    requeues: int

    def __call__(self) -> None:
        """Do or resume the run, and leave a word for who handed it in."""
        words = _words(self.place.root, self.spec)
        words.unlink(missing_ok=True)  # of a try before this one, if the cluster took its node and queued it again
        number = _own_number()
        collect_seldom()
        try:
            with stop_on_signals(signal.SIGUSR2) as stop:
                from stbench.sweep.sweep import Datasets, do_run

                workplace = self.place.build(SweepListener())
                try:
                    datasets = Datasets(workplace.data_dirs, workplace.listener.data_opened)
                    ended = do_run(self.spec, workplace, datasets, stop)
                except KeyboardInterrupt:
                    warned = stop.signum == signal.SIGUSR2
                    if warned and int(os.environ.get("SLURM_RESTART_COUNT", "0")) < self.requeues:
                        subprocess.run(["scontrol", "requeue", number], check=True, timeout=60)
                        return
                    why = "its time is up, again" if warned else "it was cancelled"
                    _say(words, number, "unfinished", f"{why}; the same command goes on")
                    return
            _say(words, number, ended.outcome, ended.note)
        except UserError as error:
            _say(words, number, "unfinished", str(error))


class Job(Watch):
    """A run and its job, seen from the process that handed it in."""

    tries = 0
    _gone_since: float | None = None

    @property
    def _ticket(self) -> Path:
        return self.workplace.root / FOLDER / f"{self.spec.folder}.job"

    def number_in_queue(self) -> str | None:
        """The number of the job that was handed in last, here or by an earlier command."""
        try:
            return self._ticket.read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def handed_in(self, number: str) -> None:
        """Remember the number of its job."""
        self.tries += 1
        self._gone_since = None
        write_text(self._ticket, number)

    def look(self, queue: Mapping[str, str]) -> None:
        """Tell the listener how far the run is."""
        self.follow(is_running=queue.get(self.number_in_queue() or "") == "RUNNING")

    def is_coming(self, queue: Mapping[str, str]) -> bool:
        """Whether the job waits or runs; one whose run has ended with a result only tidies up."""
        state = queue.get(self.number_in_queue() or "")
        return state is not None and not (state in TIDYING and self._said_result())

    def is_over(self, queue: Mapping[str, str]) -> bool:
        """Whether the job's run has its result, or the job has left the queue.

        A job that left without a word is waited for a while: on a shared file system its file may be seen late.
        """
        if self.number_in_queue() in queue:
            self._gone_since = None
            # what the process and the cluster still tidy up is not waited for
            return self._said_result() and self._folder.is_complete
        self._gone_since = self._gone_since or time.monotonic()
        return self.said() is not None or time.monotonic() - self._gone_since > LATE_SECONDS

    def _said_result(self) -> bool:
        words = self.said()
        return words is not None and words["outcome"] in WITH_RESULT

    def said(self) -> dict[str, Any] | None:
        """What the job said when it ended; None if it was killed, or does not end."""
        try:
            words: dict[str, Any] = json.loads(_words(self.workplace.root, self.spec).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return words if words.get("job") == self.number_in_queue() else None

    def ended(self) -> Ended:
        """How the run ended; the folder holds the result."""
        self.follow(is_running=False)  # epochs since the last look
        words = self.said()
        if words is None:
            logs = self.workplace.root / FOLDER / f"{self.number_in_queue()}_0_log.err"
            return Ended(self.spec, "unfinished", note=f"SLURM job {self.number_in_queue()} died; see {logs}")
        return self.found(words["outcome"], words["note"])

    def left(self, queue: Mapping[str, str]) -> Ended:
        """What is said of a job that goes on without this process."""
        number = self.number_in_queue()
        state = queue.get(number or "", "ended").lower()
        return Ended(self.spec, "unfinished", note=f"SLURM job {number} is {state}; the same command collects it")


def _queue() -> dict[str, str] | None:
    """State of each of this user's jobs in the queue, by its number; None while the cluster does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    try:
        lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split(maxsplit=1) for line in lines if line.strip())


def _own_number() -> str:
    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ["SLURM_JOB_ID"]
    return job if array is None else f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _words(root: Path, spec: RunSpec) -> Path:
    return root / FOLDER / f"{spec.folder}.json"


def _say(words: Path, number: str, outcome: str, note: str) -> None:
    write_text(words, json.dumps({"job": number, "outcome": outcome, "note": note}))


def _still_there(waiting: Sequence[Job]) -> str:
    numbers = " ".join(str(job.number_in_queue()) for job in waiting)
    return f"The jobs go on; the same command collects them. To stop them: scancel {numbers}"
