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
HEADER = f"{','.join(COLUMNS)}\n"


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

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Append the epochs that the file lacks.

        The file is written anew, by replacing it, if it is missing or cut short by a kill, or holds lines of a training
        that was given up for a new one.
        """
        found, is_whole = self._rows()
        written = [row for row in found if row["run"] == self._run["run"]]
        rows = [self._row(epoch) for epoch in self._folder.history()] or [*written, self._row(record)]
        if is_whole and rows[: len(written)] == written:
            with self._file.open("a", newline="", encoding="utf-8") as stream:
                stream.write(_text(rows[len(written) :]))
            return
        others = [row for row in found if row["run"] != self._run["run"]]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._file, HEADER + _text([*others, *rows]))

    def _rows(self) -> tuple[list[dict[str, str]], bool]:
        """Return the complete rows of all runs, and whether the file is there with its header and no torn line."""
        if not self._file.is_file():
            return [], False
        text = self._file.read_text(encoding="utf-8", errors="replace")
        whole, _, torn = text.rpartition("\n")
        lines = [line for line in csv.reader(io.StringIO(whole)) if len(line) == len(COLUMNS) and line != list(COLUMNS)]
        return [dict(zip(COLUMNS, line, strict=True)) for line in lines], text.startswith(HEADER) and not torn

    def _row(self, record: Mapping[str, Any]) -> dict[str, str]:
        values = {key: "" if record.get(key) is None else str(record[key]) for key in COLUMNS}
        return {**values, **self._run}


def _text(rows: Sequence[Mapping[str, str]]) -> str:
    stream = io.StringIO()
    csv.DictWriter(stream, COLUMNS, lineterminator="\n").writerows(rows)
    return stream.getvalue()
