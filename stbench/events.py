"""Events of a sweep: the listener protocols and a fan-out.

The terminal's progress display is a listener, and so is each logger (entry-point group ``stbench.loggers``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stbench.errors import UserError
from stbench.registry import Registry, broken_plugin

if TYPE_CHECKING:
    from stbench.schema import RunResult, RunSpec

Outcome = Literal["finished", "failed", "already done", "busy", "unfinished", "trained", "pruned"]
"""How a run of a sweep ended; ``trained``: without its test (``--no-test``); ``pruned``: a search gave it up.

``unfinished``: a fault of the machine or a mistake stopped it, and it can be resumed.
"""
WITH_RESULT: frozenset[Outcome] = frozenset({"finished", "failed", "already done"})
"""Outcomes of runs whose folder has a result."""


class RunListener:
    """Base of listeners to one run; by default every event is ignored."""

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """React to progress within an epoch, not called for every step; ``step`` counts within the epoch."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """React to the end of an epoch and its validation; ``record`` is its line of ``history.jsonl``."""

    def on_evaluate(self) -> None:
        """React to the start of scoring on the test split."""

    def on_note(self, text: str) -> None:
        """Something that a user should know, such as why training starts anew."""


class SweepListener:
    """Base of listeners to a sweep; by default every event is ignored. Events come from the main process only."""

    def data_opened(self, report: str) -> None:
        """React to an opened dataset; ``report`` is one line on what was read and dropped."""

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - what a listener may use
        """React to the start of run ``number`` (from 1) of ``runs``; return its listener."""
        return RunListener()

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """React to a run that ended, was already done or runs in another process; ``note`` is for the reader."""

    def close(self) -> None:
        """React to the end of the sweep, also if it was stopped or failed."""


@contextmanager
def _told(listener: object) -> Iterator[None]:
    """Name a listener whose code fails: that is no result of the run it watches.

    Raises:
        UserError: it failed, and not for want of a file or a reader of its output.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise broken_plugin(f"The logger {type(listener).__qualname__} fails", error) from error


class RunFanOut(RunListener):
    """Forward the events of a run to several listeners, in order."""

    def __init__(self, listeners: Sequence[RunListener]) -> None:
        self._listeners = tuple(listeners)

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Forward the event."""
        for listener in self._listeners:
            with _told(listener):
                listener.on_step(epoch=epoch, step=step, steps=steps, loss=loss, lr=lr)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Forward the event."""
        for listener in self._listeners:
            with _told(listener):
                listener.on_epoch(record)

    def on_evaluate(self) -> None:
        """Forward the event."""
        for listener in self._listeners:
            with _told(listener):
                listener.on_evaluate()

    def on_note(self, text: str) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_note(text)


class SweepFanOut(SweepListener):
    """Forward the events of a sweep to several listeners, in order."""

    def __init__(self, listeners: Sequence[SweepListener]) -> None:
        self._listeners = tuple(listeners)

    def data_opened(self, report: str) -> None:
        """Forward the event."""
        for listener in self._listeners:
            with _told(listener):
                listener.data_opened(report)

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:
        """Return a fan-out to the run listeners of all."""
        return RunFanOut([listener.run_listener(spec, number, runs) for listener in self._listeners])

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """Forward the event."""
        for listener in self._listeners:
            with _told(listener):
                listener.run_done(spec, outcome, result, note)

    def close(self) -> None:
        """Close all listeners, even if one raises."""
        try:
            if self._listeners:
                self._listeners[0].close()
        finally:
            if self._listeners:
                SweepFanOut(self._listeners[1:]).close()


class Logger(Protocol):
    """A logger plugin: a class or function that takes the output folder of a sweep and returns a listener."""

    def __call__(self, out: Path) -> SweepListener:
        """Return the listener of a sweep that writes results to ``out``."""


def _check_logger(plugin: Any) -> None:
    if not callable(plugin):
        raise TypeError(f"expected a class or function that takes the output folder, got {plugin!r}")


LOGGERS: Registry[Logger] = Registry("logger", "stbench.loggers", _check_logger)
