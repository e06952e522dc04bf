"""What a benchmark's ``downloads.yaml`` says: files, their addresses and mirrors, hashes, what is unpacked.

:mod:`stbench.data.benchmarks.downloads` brings the files here.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, field_validator, model_validator

from stbench.data.benchmarks.lookup import benchmark_folder
from stbench.data.dataset import reader_options
from stbench.data.gzipped import read_content
from stbench.errors import UserError, unknown_name
from stbench.files import file_hash
from stbench.schema import Benchmark, Record
from stbench.settings import read_yaml

KINDS = ("sha256", "md5")


class Listed(Record):
    """Files that a table names, one a row.

    Attributes:
        table: name of a csv file among the downloads.
        column: its column of file names.
        where: column -> the value that a row must have to be needed.
    """

    table: str
    column: str
    where: dict[str, str] = {}


class Download(Record):
    """One file, or with ``{}`` in its name and address the files that a table lists.

    Attributes:
        file: its name in the data folder; with ``*`` in it, a pattern of files that a folder given by the user may
            hold, which keep their place in that folder.
        url: where it is; None where only the page it is on is known (the benchmark's card names it).
        mirrors: further addresses, tried in order after ``url``.
        hashes: ``sha256:…`` or ``md5:…`` of the file, any one of which will do; md5 also of what a gz unpacks to.
            Empty where none is published: then the first download is recorded and later ones must be the same.
        optional: the benchmark can do without it.
        unpack: a zip or tar that is unpacked and then removed; a file or folder of its content named here tells that
            this was done.
        size: bytes, where it is known; the server's own word counts more.
        source: name of an alternative: of several, ``get`` fetches one (``--source``), the first unless told.
        listed: the table that names the files, whose names replace ``{}``.
        help: what to say when it cannot be downloaded.
    """

    file: str
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    unpack: str | None = None
    optional: bool = False
    size: NonNegativeInt | None = None
    source: str | None = None
    listed: Listed | None = None
    help: str = ""

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address, the preferred one first."""
        return () if self.url is None else (self.url, *self.mirrors)

    @field_validator("hashes")
    @classmethod
    def _known_kinds(cls, hashes: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [text for text in hashes if text.partition(":")[0] not in KINDS]
        if wrong:
            raise ValueError(f"a hash begins with {' or '.join(f'{kind}:' for kind in KINDS)}; got {wrong[0]!r}")
        return hashes

    @model_validator(mode="after")
    def _names_fit(self) -> Download:
        if (self.listed is not None) != ("{}" in self.file):
            raise ValueError("'listed' and {} in the file's name go together")
        return self


def downloads_of(name: str) -> tuple[Download, ...]:
    """Return the files of a benchmark as its ``downloads.yaml`` lists them; empty if it has none."""
    file = benchmark_folder(owner_of_downloads(name)) / "downloads.yaml"
    return tuple(Download.parse(values, str(file)) for values in _entries(file))


def owner_of_downloads(name: str) -> str:
    """Return the benchmark in whose folder the downloaded files lie, so that those of one list share one download.

    It is the benchmark itself, or the one that its ``downloads.yaml`` names in a single entry ``of``.
    """
    entries = _entries(benchmark_folder(name) / "downloads.yaml")
    return str(entries[0]["of"]) if entries and "of" in entries[0] else name


def _entries(file: Traversable) -> list[Any]:
    return list(read_yaml(file, list)) if file.is_file() else []


def of_source(downloads: Sequence[Download], source: str | None) -> tuple[Download, ...]:
    """Return the downloads of one alternative, and those that belong to all.

    Raises:
        UserError: there is no such alternative.
    """
    known = list(dict.fromkeys(item.source for item in downloads if item.source is not None))
    if source is not None and source not in known:
        if not known:
            raise UserError(f"--source {source}: these files come from one source only. Leave it out.")
        raise unknown_name("--source", source, known)
    chosen = source or next(iter(known), None)
    return tuple(item for item in downloads if item.source in (None, chosen))


def stages(downloads: Sequence[Download], folder: Path) -> Iterator[tuple[Download, ...]]:
    """Return what can be fetched at once, then the files that tables name, which must be there by then."""
    yield tuple(item for item in downloads if item.listed is None)
    listed = tuple(named for item in downloads if item.listed is not None for named in expanded(item, folder))
    if listed:
        yield listed


def expanded(item: Download, folder: Path) -> list[Download]:
    """Return a download for each file that a table in ``folder`` names; none where the table is not there.

    Raises:
        UserError: the table lacks a column, or names a file outside the folder.
    """
    table = item.listed
    if table is None or not (folder / table.table).is_file():
        return []
    path = folder / table.table
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        absent = {table.column, *table.where} - set(reader.fieldnames or ())
        if absent:
            raise UserError(f"{path} lacks the column {sorted(absent)[0]!r}. Remove it and fetch it again.")
        rows = [row for row in reader if all(row[key] == value for key, value in table.where.items())]
    names = sorted({row[table.column] for row in rows if row[table.column]})
    outside = next((name for name in names if name.startswith("/") or ".." in Path(name).parts), None)
    if outside is not None:
        raise UserError(f"{path} names the file {outside!r}, which lies outside the folder. Fetch it again.")
    filled = {"file": item.file, "url": item.url or ""}
    return [
        item.model_copy(update={**{key: text.replace("{}", name) for key, text in filled.items()}, "listed": None})
        for name in names
    ]


def by_hand(benchmark: Benchmark, changes: Mapping[str, Any]) -> tuple[Download, ...]:
    """Return what to take from a user's folder for a benchmark without a list of files: whatever it reads.

    ``changes`` are dataset options that the user sets, ``files`` among them.
    """
    spec = benchmark.dataset.model_copy(update={"options": {**benchmark.dataset.options, **changes}})
    names = dict.fromkeys(name for files in reader_options(benchmark.name, spec).file_sets for name in files)
    return tuple(Download(file=name, optional=True) for name in names)


def check_hash(path: Path, item: Download) -> None:
    """Compare a file with its published hashes.

    Raises:
        UserError: none fits.
    """
    if not item.hashes:
        return
    wanted = {text.partition(":")[0] for text in item.hashes}
    seen = {f"{kind}:{file_hash(path, kind=kind)}" for kind in wanted}
    if item.file.endswith(".gz") and "md5" in wanted:
        seen.add(f"md5:{hashlib.md5(read_content(path), usedforsecurity=False).hexdigest()}")
    if not seen & set(item.hashes):
        raise UserError(
            f"{path} is damaged or another file: its sha256 is {file_hash(path)}, expected "
            f"{' or '.join(item.hashes)}. Remove it and fetch it again."
        )
