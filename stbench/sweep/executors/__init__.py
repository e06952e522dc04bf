"""The contract of an executor plugin (entry-point group ``stbench.executors``), which runs the runs of a sweep.

The unit of work is one spec and its folder below ``workplace.root``, on a file system that all workers share. All state
is in run folders: an executor may lose its memory, and the same sweep continues from the folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stbench.errors import UserError
from stbench.events import Outcome
from stbench.registry import Registry, foreign_code
from stbench.schema.base import Record

if TYPE_CHECKING:
    from stbench.schema import RunResult, RunSpec
    from stbench.sweep.execute import Workplace


@dataclass(frozen=True)
class Ended:
    """How a run ended; ``result`` is None if it has none, ``note`` is the reason or a message for the reader."""

    spec: RunSpec
    outcome: Outcome
    result: RunResult | None = None
    note: str = ""


class UnavailableError(UserError):
    """An executor cannot be used on this machine."""


class Executor(Protocol):
    """An executor plugin: a :class:`stbench.schema.Record` of its settings, a class without arguments, or an object.

    It may have a method ``missing()`` that says why it cannot be used here: no cluster, say. Empty text: it can. A
    method ``prepare()`` is called by ``stbench run``, for a sweep without results yet, before methods are imported, so
    maybe for nothing: what takes time to start can do so meanwhile.
    For the cost that a plan shows, it may have the attributes ``jobs`` (runs at once), ``threads_each`` (threads of
    each) and ``elsewhere`` (true if runs go to other machines, so that a time on this one says nothing).
    """

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Do the runs that are not done, in any order, and yield each one as it ends or is found done.

        :func:`stbench.sweep.sweep.do_run` does one run in the calling process. A worker in another process builds its
        own workplace; only runs in this process can report steps to ``workplace.listener``.

        Raises:
            UserError: missing or damaged data.
            MachineError: a data-parallel process is lost; no further run can be done.
            KeyboardInterrupt: asked to stop; what is finished is kept, a stopped run can be resumed.
        """


def _check_executor(plugin: Any) -> None:
    if not callable(getattr(plugin, "submit", None)):
        raise TypeError(f"expected a class with a method submit(specs, workplace), got {plugin!r}")


DEFAULT_EXECUTOR = "local"
EXECUTORS: Registry[Any] = Registry("executor", "stbench.executors", _check_executor)


def goes_elsewhere(executor: Executor) -> bool:
    """Return whether runs go to other machines."""
    return bool(getattr(executor, "elsewhere", False))


def has_own_processes(executor: Executor) -> bool:
    """Return whether each run has a process of its own."""
    return goes_elsewhere(executor) or hasattr(executor, "jobs")


def get_executor(name: str, settings: Mapping[str, Any] | None = None) -> Executor:
    """Return an executor by name, with its settings if the plugin is a record.

    Raises:
        UserError: the name is unknown, its plugin cannot be loaded, or a setting is unknown or does not fit.
        UnavailableError: it cannot be used on this machine.
    """
    plugin = EXECUTORS.get(name)
    made: Any
    if isinstance(plugin, type) and issubclass(plugin, Record):
        made = plugin.parse(dict(settings or {}), f"executor {name}")
    elif settings:
        raise UserError(f"--executor-set {', '.join(settings)}: the executor {name!r} has no settings. Leave it out.")
    else:
        with foreign_code(f"The executor {name!r} cannot be made"):
            made = plugin() if isinstance(plugin, type) else plugin
    reason = made.missing() if hasattr(made, "missing") else ""
    if reason:
        raise UnavailableError(f"--executor {name}: {reason}")
    executor: Executor = made
    return executor
