"""``--log csv``: one line per epoch of every run in OUT/epochs.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stbench.events import RunListener, SweepListener
from stbench.schema.folder import RunFolder, write_text

if TYPE_CHECKING:
    from stbench.schema import RunSpec

COLUMNS = ("run", "method", "seed", "epoch", "step", "lr", "train_loss", "val_mse_frame", "train_seconds")


class CsvLogger(SweepListener):
    """Append to ``epochs.csv`` in the output folder; the file is closed between epochs, so that it can be read."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def run_listener(self, spec: RunSpec, number: int, runs: int) -> RunListener:  # noqa: ARG002 - the event's signature
        """Log the epochs of one run."""
        folder = RunFolder(self.out / "runs" / spec.folder)
        return _Epochs(self.out / "epochs.csv", folder, {"run": spec.folder, "method": spec.method, "seed": spec.seed})


class _Epochs(RunListener):
    def __init__(self, file: Path, folder: RunFolder, run: Mapping[str, Any]) -> None:
        self._file = file
        self._folder = folder
        self._run = {key: str(value) for key, value in run.items()}
        self._written = [row for row in self._rows() if row["run"] == self._run["run"]]

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Append the epochs that the file lacks; lines of a training that was given up for a new one are removed."""
        history = [self._row(epoch) for epoch in self._folder.history()]
        rows = history or [*self._written, self._row(record)]
        if rows[: len(self._written)] != self._written:
            others = [row for row in self._rows() if row["run"] != self._run["run"]]
            write_text(self._file, f"{','.join(COLUMNS)}\n{_text(others)}")
            self._written = []
        is_new = not self._file.exists()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", newline="", encoding="utf-8") as stream:
            stream.write((f"{','.join(COLUMNS)}\n" if is_new else "") + _text(rows[len(self._written) :]))
        self._written = rows

    def _rows(self) -> list[dict[str, str]]:
        if not self._file.is_file():
            return []
        with self._file.open(newline="", encoding="utf-8") as stream:
            return [{key: row.get(key) or "" for key in COLUMNS} for row in csv.DictReader(stream)]

    def _row(self, record: Mapping[str, Any]) -> dict[str, str]:
        values = {key: "" if record.get(key) is None else str(record[key]) for key in COLUMNS}
        return {**values, **self._run}


def _text(rows: Sequence[Mapping[str, str]]) -> str:
    stream = io.StringIO()
    csv.DictWriter(stream, COLUMNS, lineterminator="\n").writerows(rows)
    return stream.getvalue()
