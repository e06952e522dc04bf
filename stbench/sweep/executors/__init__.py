"""Who runs the runs of a sweep: the contract of an executor plugin (entry-point group ``stbench.executors``).

The unit is one spec and its folder below ``workplace.root``, on a file system that every worker sees. The run folder is
the truth: whatever an executor remembers may be lost, and the same sweep goes on from the folders alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stbench.errors import UserError
from stbench.events import Outcome
from stbench.registry import Registry
from stbench.schema.base import Record

if TYPE_CHECKING:
    from stbench.schema import RunResult, RunSpec
    from stbench.sweep.execute import Workplace


@dataclass(frozen=True)
class Ended:
    """How one run ended; ``result`` is None where another process has it, ``note`` is what a reader should know."""

    spec: RunSpec
    outcome: Outcome
    result: RunResult | None = None
    note: str = ""


class Executor(Protocol):
    """An executor plugin: a :class:`stbench.schema.Record` of its settings, a class without arguments, or an object."""

    def submit(self, specs: Sequence[RunSpec], workplace: Workplace) -> Iterator[Ended]:
        """Do the runs that are not done yet, in any order, and yield each one as it ends or is found done.

        :func:`stbench.sweep.sweep.do_run` does one run, in whichever process calls it. A worker in another process
        builds its own workplace; only what runs in this one can report steps to ``workplace.listener``.

        Raises:
            UserError: missing or damaged data, or an unwritable folder.
            KeyboardInterrupt: asked to stop; what is finished is kept, a stopped run can be resumed.
        """


def _check_executor(plugin: Any) -> None:
    if not callable(getattr(plugin, "submit", None)):
        raise TypeError(f"expected a class with a method submit(specs, workplace), got {plugin!r}")


EXECUTORS: Registry[Any] = Registry("executor", "stbench.executors", _check_executor)


def get_executor(name: str, settings: Mapping[str, Any] | None = None) -> Executor:
    """Return an executor by name, with its settings where its plugin is a record.

    Raises:
        UserError: the name is unknown, its plugin cannot be loaded, or a setting is unknown or does not fit.
    """
    plugin = EXECUTORS.get(name)
    if isinstance(plugin, type) and issubclass(plugin, Record):
        return plugin.parse(dict(settings or {}), f"executor {name}")  # type: ignore[return-value]
    if settings:
        raise UserError(f"--executor-set {', '.join(settings)}: the executor {name!r} has no settings. Leave it out.")
    made: Executor = plugin() if isinstance(plugin, type) else plugin
    return made
