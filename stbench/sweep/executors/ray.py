"""``--executor ray``: every run a task of a Ray cluster, local or existing.

The run folder is the truth. A task whose worker or node dies is done again by Ray and resumes from its folder. If this
process dies, its tasks end with it; the same command goes on. All nodes share the output folder's file system, its path
and this Python environment.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr

from stbench.errors import UserError, first_line
from stbench.events import Outcome, SweepListener
from stbench.lazy import collect_seldom
from stbench.schema import RunSpec
from stbench.schema.base import Record
from stbench.sweep.executors import Ended
from stbench.sweep.executors.ray_cluster import LocalCluster
from stbench.train.interrupt import StopRequest, stop_on_signals

if TYPE_CHECKING:  # what needs torch is imported late: a local cluster starts meanwhile
    from stbench.sweep.execute import Workplace
    from stbench.sweep.executors.place import Place
    from stbench.sweep.executors.watch import Watch

BUSY_SECONDS = 60.0
"""How long a run may be locked by a task that its cluster has given up and that still ends."""
SAVE_SECONDS = 300.0
"""How long tasks may take to save when asked to stop."""
CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer."""
SETTINGS = {
    "RAY_worker_niceness": "0",  # Ray gives its workers the lowest priority: on a busy machine no task would begin
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to Ray's makers
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers use this environment, also under 'uv run'
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a run without a GPU asks for the CPU by itself
}
"""Environment of Ray where the user has set nothing else."""
NO_HISTORY = ("RAY_task_events_report_interval_ms", "0")
"""No record of tasks, which holds up the end for 0.25 s.

Ray reads it once per process. One that joins another cluster later would leave tasks there that look unfinished.
"""


class Ray(Record):
    """Each run is a task. If its worker or node dies, Ray does it again elsewhere and it resumes.

    Attributes:
        address: of a running cluster (``auto`` finds one of this machine); None starts a local one.
        cpus: cores and threads of a run.
        gpus: of a run, 0 or 1; without one it computes on the CPU.
        retries: how often a run is done again after its worker or node died.
        poll_seconds: between two looks at the tasks.
    """

    elsewhere: ClassVar[bool] = True

    address: str | None = None
    cpus: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0, le=1)
    retries: int = Field(default=3, ge=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    _cluster: LocalCluster | None = PrivateAttr(default=None)  # one of its own

    def missing(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return "" if find_spec("ray") else "it needs ray. Install it with: pip install 'stbench[ray]'"

    def prepare(self) -> None:
        """Start a local cluster, unless one is to be joined, while this process, a command, imports."""
        if self.address is None:
            os.environ.setdefault(*NO_HISTORY)
            self._start_cluster()

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Start a task for every run that is not done, and yield each as it ends.

        Raises:
            UserError: the cluster cannot be reached, or none of its nodes is large enough.
            KeyboardInterrupt: asked to stop; the tasks save and end.
        """
        from stbench.sweep.executors.watch import Watch
        from stbench.sweep.sweep import Datasets, do_run, is_done

        datasets = Datasets(workplace.data_dirs, workplace.listener.data_opened)
        waiting: list[Watch] = []
        with stop_on_signals() as stop:
            for number, spec in enumerate(specs, 1):
                if is_done(spec, workplace):
                    yield do_run(spec, workplace, datasets, stop)
                else:
                    waiting.append(Watch(spec, workplace, number, len(specs)))
            if not waiting:
                return
            self._start_cluster()
            try:
                ray = self._connected()
                try:
                    yield from self._collect(waiting, workplace, stop, ray)
                finally:
                    ray.shutdown()
            finally:
                self._end_cluster()

    def _connected(self) -> Any:
        """Ray, joined to the cluster.

        Raises:
            UserError: it cannot be reached, or no node is large enough.
        """
        os.environ.update({**self._settings(), **os.environ})
        ray: Any = import_module("ray")  # its types hold only where it is installed
        try:
            address = self.address or ("" if self._cluster is None else self._cluster.address())
            _check_address(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            advice = (
                "Ray's own words are in /tmp/ray/session_latest/logs."
                if self.address is None
                else f"Check --executor-set address={self.address}; 'ray status' shows the cluster of this machine."
            )
            raise UserError(f"--executor ray: {first_line(error)}. {advice}") from error
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        sizes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(size.get(kind, 0) >= count for kind, count in wanted.items()) for size in sizes):
            largest = max((int(size.get("CPU", 0)) for size in sizes), default=0)
            ray.shutdown()
            raise UserError(
                f"--executor ray: no node of the cluster has {self.cpus} cpus and {self.gpus} gpus; the largest has "
                f"{largest} cpus. Change --executor-set cpus={max(1, largest)}, or gpus."
            )
        return ray

    def _settings(self) -> dict[str, str]:
        """Environment. Where there is a token, clusters ask for it, and Ray shows it only if told to."""
        has_token = self.address is None or "RAY_AUTH_TOKEN" in os.environ or _token_file().is_file()
        return SETTINGS | ({"RAY_AUTH_MODE": "token"} if has_token else {})

    def _start_cluster(self) -> None:
        if self.address is None and self._cluster is None:
            self._cluster = LocalCluster(self._settings())

    def _end_cluster(self) -> None:
        if self._cluster is not None:
            self._cluster.end()
            self._cluster = None

    def _collect(self, waiting: Sequence[Watch], workplace: Workplace, stop: StopRequest, ray: Any) -> Iterator[Ended]:
        from stbench.sweep.executors.place import Place

        place = Place.of(workplace, "cuda" if self.gpus else "cpu", self.cpus)
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(_work)
        running = {task.remote(watch.spec, place): watch for watch in waiting}
        try:
            while running:
                done, _ = ray.wait(list(running), timeout=self.poll_seconds)
                for watch in running.values():
                    watch.follow(is_running=False)
                for ticket in done:
                    yield _ended(running.pop(ticket), ticket, ray)
                stop.leave()
        finally:
            for ticket in running:  # as Ctrl-C does: the run finishes its step and saves
                ray.cancel(ticket, force=False)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=SAVE_SECONDS)


def _token_file() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def _check_address(address: str) -> None:
    """Connect to HOST:PORT once; Ray itself would wait for minutes where nothing answers.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


@dataclass(frozen=True)
class _Word:
    """What a task says of its run; the folder holds the rest."""

    outcome: Outcome
    note: str = ""


def _work(spec: RunSpec, place: Place) -> _Word:
    """Do or resume a run, in a worker."""
    collect_seldom()
    from stbench.sweep.sweep import Datasets, do_run

    workplace = place.build(SweepListener())
    datasets = Datasets(workplace.data_dirs, workplace.listener.data_opened)
    end = time.monotonic() + BUSY_SECONDS
    with stop_on_signals() as stop:
        try:
            ended = do_run(spec, workplace, datasets, stop)
            while ended.outcome == "busy" and time.monotonic() < end:
                time.sleep(1)
                stop.leave()
                ended = do_run(spec, workplace, datasets, stop)
        except UserError as error:
            return _Word("unfinished", str(error))
        except KeyboardInterrupt:
            return _Word("unfinished", "it was stopped; the same command goes on")
    return _Word(ended.outcome, ended.note)


def _ended(watch: Watch, ticket: Any, ray: Any) -> Ended:
    """How a run ended; its folder holds the result."""
    try:
        word = ray.get(ticket)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error  # a task's own error, or that of its worker
        word = _Word("unfinished", f"its task died ({first_line(cause)}); the same command goes on")
    return watch.found(word.outcome, word.note)
