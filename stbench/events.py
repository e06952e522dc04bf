"""What happens in a sweep, and who hears about it: the listener protocols and a fan-out.

The terminal's progress is one listener, a logger (entry-point group ``stbench.loggers``) another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stbench.registry import Registry

if TYPE_CHECKING:
    from stbench.schema import RunResult, RunSpec

Outcome = Literal["finished", "failed", "already done", "busy"]


class RunListener:
    """Who watches one run; every event may be ignored."""

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Some steps of an epoch are done (not called for every one); ``step`` counts within the epoch."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch and its validation are done; ``record`` is its line of ``history.jsonl``."""

    def on_evaluate(self) -> None:
        """Training is over, the test split is being scored."""


class SweepListener:
    """Who watches a sweep; every event may be ignored. Events come from the main process only."""

    def data_opened(self, report: str) -> None:
        """A dataset was read; ``report`` says in one line what was read and dropped."""

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - what a listener may use
        """Run ``number`` (from 1) of ``runs`` starts; returns who watches it."""
        return RunListener()

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """A run ended, or was found done or in another process's hands; ``note`` is what a reader should know."""

    def close(self) -> None:
        """The sweep is over, also when it was stopped or failed."""


class RunFanOut(RunListener):
    """Tells several listeners of a run, in order."""

    def __init__(self, listeners: Sequence[RunListener]) -> None:
        self._listeners = tuple(listeners)

    def on_step(self, *, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_step(epoch=epoch, step=step, steps=steps, loss=loss, lr=lr)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_epoch(record)

    def on_evaluate(self) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on_evaluate()


class SweepFanOut(SweepListener):
    """Tells several listeners of a sweep, in order."""

    def __init__(self, listeners: Sequence[SweepListener]) -> None:
        self._listeners = tuple(listeners)

    def data_opened(self, report: str) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.data_opened(report)

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:
        """One listener for those of all."""
        return RunFanOut([listener.run_listener(spec, number, runs) for listener in self._listeners])

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.run_done(spec, outcome, result, note)

    def close(self) -> None:
        """Pass it on, to all of them even where one raises."""
        try:
            if self._listeners:
                self._listeners[0].close()
        finally:
            if self._listeners:
                SweepFanOut(self._listeners[1:]).close()


class Logger(Protocol):
    """A logger plugin: called with the output folder of a sweep, it gives a listener; a class is called to be made."""

    def __call__(self, out: Path) -> SweepListener:
        """The listener of one sweep whose results go to ``out``."""


def _check_logger(plugin: Any) -> None:
    if not callable(plugin):
        raise TypeError(f"expected a class or function that takes the output folder, got {plugin!r}")


LOGGERS: Registry[Logger] = Registry("logger", "stbench.loggers", _check_logger)
