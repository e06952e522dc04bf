"""Weights that others released: a benchmark's ``weights.yaml`` says where they are and what was printed of them.

They are fetched as data are (:mod:`stbench.data.benchmarks.downloads`), into the folder
``<data dir>/weights/<release>/<benchmark>/``. This module does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import NonNegativeInt

from stbench.data.benchmarks.download_list import Download
from stbench.data.benchmarks.lookup import BENCHMARKS, benchmark_folder, published_table
from stbench.errors import UserError, unknown_name
from stbench.schema import Record
from stbench.settings import read_yaml

FOLDER = "weights"
NUMBER = re.compile(r"(\w+):\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
VALIDATION = re.compile(r"\bval(?:i|id|idation)?\b")


class Checkpoint(Record):
    """One released file.

    Attributes:
        file: its name below the release's address.
        method: the method that it belongs to, with a variant; None if no such method is installed with stbench.
        log: whether its training log, ``<file without suffix>.log``, is released beside it.
        row: its method as the printed table names it; None if no table has it.
        table: the printed table that has the row.
        hashes: as in ``downloads.yaml``; empty where none is published.
        size: bytes, where it is known.
    """

    file: str
    method: str | None = None
    log: bool = False
    row: str | None = None
    table: str = "OpenSTL STL"
    hashes: tuple[str, ...] = ()
    size: NonNegativeInt | None = None


class Release(Record):
    """Checkpoints of one benchmark that were trained alike.

    Attributes:
        release: short name of who released them.
        url: the address of the files, without their names.
        training: how long and under which schedule they were trained.
        setting: the column ``setting`` of their rows in ``published.csv``.
        metrics: name in a log -> stbench's name of the same convention.
        protocol: the protocol whose settings and split they belong to.
        checkpoints: by name.
    """

    release: str
    url: str
    training: str
    setting: str
    metrics: dict[str, str]
    protocol: str = "legacy"
    checkpoints: dict[str, Checkpoint]


@dataclass(frozen=True)
class Figures:
    """Scores that somebody stated for a checkpoint: ``source`` says where, ``values`` are by stbench's metric names."""

    source: str
    values: Mapping[str, float]
    caveat: str = ""


@dataclass(frozen=True)
class Released:
    """A released checkpoint with its place: ``openstl/taxibj/tau``."""

    benchmark: str
    name: str
    release: Release
    checkpoint: Checkpoint

    @property
    def full_name(self) -> str:
        """Release, benchmark and name."""
        return f"{self.release.release}/{self.benchmark}/{self.name}"

    @property
    def url(self) -> str:
        """The address of the weights."""
        return self.release.url + self.checkpoint.file

    @property
    def log_file(self) -> str | None:
        """Name of the training log; None if none is released."""
        return f"{Path(self.checkpoint.file).stem}.log" if self.checkpoint.log else None

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The weights, and the log, which scoring can do without."""
        item = self.checkpoint
        weights = Download(file=item.file, url=self.url, hashes=item.hashes, size=item.size)
        log = self.log_file
        if log is None:
            return (weights,)
        return weights, Download(file=log, url=self.release.url + log, optional=True)

    def folder(self, dirs: Sequence[Path]) -> Path:
        """Return the folder that has the weights, else that of the first data folder."""
        folders = [directory / FOLDER / self.release.release / self.benchmark for directory in dirs]
        return next((folder for folder in folders if (folder / self.checkpoint.file).is_file()), folders[0])

    def figures(self, dirs: Sequence[Path]) -> Figures | None:
        """Return the scores of the log if it is here and has them, else those of the printed table, else None."""
        return self._logged(dirs) or self._printed()

    def _logged(self, dirs: Sequence[Path]) -> Figures | None:
        log = self.log_file
        path = self.folder(dirs) / log if log is not None else None
        if path is None or not path.is_file():
            return None
        found = last_scores(path.read_text(encoding="utf-8", errors="replace"))
        values = {own: found[theirs] for theirs, own in self.release.metrics.items() if theirs in found}
        return Figures(f"training log {path.name}", values) if values else None

    def _printed(self) -> Figures | None:
        import pandas as pd

        frame = published_table(self.benchmark)
        item = self.checkpoint
        if frame is None or item.row is None:
            return None
        wanted = {"method": item.row, "table": item.table, "setting": self.release.setting}
        rows = frame[(frame[list(wanted)] == list(wanted.values())).all(axis=1)]
        if len(rows) != 1:
            raise UserError(
                f"{benchmark_folder(self.benchmark)}: published.csv has {len(rows)} rows of {wanted}, which "
                f"weights.yaml names for {self.name}. Name the one that is meant."
            )
        values = rows.iloc[0]
        known = {name: float(values[name]) for name in self.release.metrics.values() if pd.notna(values.get(name))}
        flag = values.get("flag")
        return Figures(f"printed table {item.table}, {item.row}", known, "" if pd.isna(flag) else str(flag))


def last_scores(log: str) -> dict[str, float]:
    r"""Return the scores of a training log's checkpoint.

    The last line with an ``mse`` that is not of a validation is the test at the end of training, of the best weights.
    Without such a line, the validation with the lowest ``mse`` is that of the best weights.

    >>> last_scores("2023-02-25 14:18:41,045 - val\t mse:1.5, mae:0.7\n2023-02-25 15:00:00,001 - mse:1.25, ssim:0.9")
    {'mse': 1.25, 'ssim': 0.9}
    """
    tests: list[dict[str, float]] = []
    validations: list[dict[str, float]] = []
    for line in (line.partition(" - ")[2] for line in log.splitlines()):
        values = {key: float(value) for key, value in NUMBER.findall(line)}
        if "mse" in values:
            (validations if VALIDATION.search(line) else tests).append(values)
    return tests[-1] if tests else min(validations, key=lambda values: values["mse"], default={})


def released_of(benchmark: str) -> tuple[Released, ...]:
    """Return the released checkpoints of a benchmark as its ``weights.yaml`` lists them; empty if it has none."""
    file = benchmark_folder(benchmark) / "weights.yaml"
    if not file.is_file():
        return ()
    releases = [Release.parse(values, str(file)) for values in read_yaml(file, list)]
    return tuple(
        Released(benchmark, name, release, item) for release in releases for name, item in release.checkpoints.items()
    )


def all_released() -> Iterator[Released]:
    """Yield the released checkpoints of every benchmark."""
    for name in BENCHMARKS.names():
        yield from released_of(name)


def find_released(name: str) -> Released:
    """Return a released checkpoint by its full name.

    Raises:
        UserError: there is none of that name (near miss suggested).
    """
    parts = name.split("/")
    if len(parts) != 3:
        raise UserError(
            f"Released weights are named RELEASE/BENCHMARK/NAME, got {name!r}. 'stbench weights list' shows all names."
        )
    known = {item.full_name: item for item in (released_of(parts[1]) if parts[1] in BENCHMARKS.names() else ())}
    if not known:
        benchmarks = list(dict.fromkeys(item.benchmark for item in all_released()))
        raise unknown_name("benchmark with released weights", parts[1], benchmarks)
    if name not in known:
        raise unknown_name("released weights", name, known)
    return known[name]
