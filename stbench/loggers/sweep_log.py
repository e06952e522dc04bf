"""The log file of a sweep, ``OUT/logs/<time>.log``: what the terminal said, with the time of each line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stbench.events import Outcome, RunListener, SweepListener
from stbench.schema import RunResult, RunSpec


class SweepLog(SweepListener):
    """Write a line for each event but steps. The file begins with the first event; a full disk stops no run.

    Args:
        out: output folder of the sweep.
    """

    def __init__(self, out: Path) -> None:
        self.file = out / "logs" / time.strftime("%Y%m%dT%H%M%SZ.log", time.gmtime())

    def write(self, text: str) -> None:
        """Append a line."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {' '.join(text.splitlines())}\n")

    def data_opened(self, report: str) -> None:
        """Log what was read."""
        self.write(f"data: {report}")

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:
        """Log the start of a run."""
        self.write(f"{spec.folder}: started, {number} of {runs}")
        return _Run(self, spec.folder)

    def run_done(self, spec: RunSpec, outcome: Outcome, result: RunResult | None, note: str = "") -> None:
        """Log how a run ended."""
        failure = None if result is None else result.failure
        reason = f" ({failure.kind}: {failure.reason})" if failure is not None else f" ({note})" if note else ""
        self.write(f"{spec.folder}: {outcome}{reason}")


class _Run(RunListener):
    def __init__(self, log: SweepLog, name: str) -> None:
        self._log = log
        self._name = name

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Log an epoch."""
        values = ", ".join(f"{key} {value:.6g}" for key, value in record.items() if isinstance(value, int | float))
        self._log.write(f"{self._name}: {values}")

    def on_evaluate(self) -> None:
        """Log the start of scoring."""
        self._log.write(f"{self._name}: scoring the test split")

    def on_note(self, text: str) -> None:
        """Log it."""
        self._log.write(f"{self._name}: {text}")
