"""A run that is done elsewhere, followed through its folder."""

from __future__ import annotations

from typing import Any

from stbench.errors import UserError
from stbench.events import RunListener
from stbench.schema import RunSpec
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
        self._told = len(self._history())
        self._listener: RunListener | None = None

    def follow(self, *, is_running: bool) -> None:
        """Tell of the epochs since the last call."""
        records = self._history()
        if self._listener is None and (is_running or len(records) > self._told):
            self._listener = self.workplace.listener.run_listener(self.spec, *self._place_in_sweep)
        if self._listener is not None:
            for record in records[self._told :]:
                self._listener.on_epoch(record)
        self._told = max(self._told, len(records))

    def _history(self) -> list[dict[str, Any]]:
        """Epochs in the run folder; none while a line is being written."""
        try:
            return self.workplace.folder(self.spec).history()
        except (OSError, UserError):
            return []
