"""``--log csv``: appends one line per epoch of every run to OUT/epochs.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stbench.events import RunListener, SweepListener

if TYPE_CHECKING:
    from stbench.schema import RunSpec

COLUMNS = ("run", "method", "seed", "epoch", "step", "lr", "train_loss", "val_mse_frame", "train_seconds")


class CsvLogger(SweepListener):
    """Append to ``epochs.csv`` in the output folder; the file is closed between epochs, so that it can be read."""

    def __init__(self, out: Path) -> None:
        self.file = out / "epochs.csv"

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - the event's signature
        """Log the epochs of one run."""
        return _Epochs(self.file, {"run": spec.folder, "method": spec.method, "seed": spec.seed})


class _Epochs(RunListener):
    def __init__(self, file: Path, run: Mapping[str, Any]) -> None:
        self._file = file
        self._run = run

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Append a line, after the header in a new file."""
        is_new = not self._file.exists()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow({**self._run, **record})
