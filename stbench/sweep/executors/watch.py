"""A run that is done elsewhere, followed through its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stbench.events import WITH_RESULT, Outcome, RunListener
from stbench.schema import RunSpec
from stbench.sweep.executors import Ended

if TYPE_CHECKING:
    from stbench.sweep.execute import Workplace


class Watch:
    """Tells the workplace's listener of the epochs that a run has done.

    Args:
        spec: the run.
        workplace: of the sweep.
        number: of the run among ``runs``.
    """

    def __init__(self, spec: RunSpec, workplace: Workplace, number: int, runs: int) -> None:
        self.spec = spec
        self.workplace = workplace
        self._place_in_sweep = number, runs
        self._folder = workplace.folder(spec)
        self._told = len(self._folder.history_so_far())
        self._listener: RunListener | None = None

    def follow(self, *, is_running: bool) -> None:
        """Tell of the epochs since the last call."""
        records = self._folder.history_so_far()
        if self._listener is None and (is_running or len(records) > self._told):
            self._listener = self.workplace.listener.run_listener(self.spec, *self._place_in_sweep)
        if self._listener is not None:
            for record in records[self._told :]:
                self._listener.on_epoch(record)
        self._told = max(self._told, len(records))

    def found(self, outcome: Outcome, note: str) -> Ended:
        """How the run ended by the word of the process that did it; the folder holds the result."""
        has_result = outcome in WITH_RESULT and self._folder.is_complete
        return Ended(self.spec, outcome, self._folder.result() if has_result else None, note)
