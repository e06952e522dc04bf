"""Values per test sequence in a run folder: ``per_sequence.parquet``, and of many sequences also their blocks.

The statistics of a report need no single sequence of a long test: neighbours are drawn together. Reports work on at
most :data:`BLOCKS` blocks of neighbouring sequences; a block of a short test is one sequence.

The files may come from anywhere. Axes: N test sequences, B blocks of them, T lead times.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FILE = "per_sequence.parquet"
"""One row per test sequence and lead time."""
BLOCKED = "sequence_blocks.parquet"
"""One row per block and lead time, made of the file above when that is written; only where N > B."""
SOURCE = b"stbench.source"
"""Key, in the metadata of blocks, of the fingerprint of the file that they were made of."""
SEQUENCES = b"stbench.sequences"
"""Key, in the metadata of blocks, of the sequences in them, JSON."""
BLOCKS = 4000
"""Maximum number of blocks."""
MOST_CLIPS = 1_000_000
"""Test clips of a run that does not say how many it has."""
LARGEST_FOOTER = 1 << 24
"""Bytes of the description at the end of a Parquet file."""


@dataclass(frozen=True)
class SequenceSet:
    """The sequences of a file: how many, and a hash of their numbers."""

    count: int
    key: str

    @classmethod
    def of(cls, numbers: NDArray[Any]) -> SequenceSet:
        """Describe sequences by their numbers (N,)."""
        return cls(len(numbers), hashlib.sha256(numbers.astype(np.int64).tobytes()).hexdigest())


@dataclass(frozen=True)
class _Layout:
    """Rows of a file of values: its sequences, and the order in which rows are read; None if already in order."""

    sequences: SequenceSet
    order: NDArray[np.intp] | None


def block_starts(sequences: int) -> NDArray[np.int64]:
    """Return the first sequence of each block (B,), of ordered sequences; block lengths differ by one at most."""
    blocks = min(sequences, BLOCKS)
    return np.arange(blocks) * sequences // blocks


class SequenceValues:
    """Values per test sequence of one folder.

    Args:
        folder: where the files lie.
        lead_times: T.
        most: number of test sequences beyond which a file is no file of the run.
    """

    def __init__(self, folder: Path, lead_times: int, most: int = MOST_CLIPS) -> None:
        self.file, self._blocked_file = folder / FILE, folder / BLOCKED
        self._lead_times, self._most = lead_times, most
        self._blocked = self._read_blocked()
        self._read: list[_Layout | None] = [] if self._blocked is not None else [self._read_layout()]

    @property
    def sequences(self) -> SequenceSet | None:
        """The scored sequences; None if the file is missing or unreadable."""
        if self._blocked is not None:
            return self._blocked
        return None if self._layout is None else self._layout.sequences

    @property
    def readable(self) -> bool:
        """True if the values are there: every sequence at every lead time."""
        return self._layout is not None

    def frames(self, column: str) -> NDArray[np.float64] | None:
        """Return a column (N, T), sequences and lead times ascending; None if it is not recorded.

        It is read at each call and not kept, so that a report of many runs holds one at a time.
        """
        layout = self._layout
        if layout is None or not layout.sequences.count:
            return None
        try:
            (values,) = _columns(self.file, [column], self._most * self._lead_times)
        except Exception:  # a damaged file fails in any way
            return None
        ordered = values if layout.order is None else values[layout.order]
        return ordered.astype(np.float64, copy=False).reshape(layout.sequences.count, -1)

    def blocks(self, columns: Sequence[str]) -> list[NDArray[Any]] | None:
        """Return columns (B, T) of the file of blocks; None if there is none of these values, or it lacks a column."""
        if self._blocked is None:
            return None
        rows = BLOCKS * self._lead_times
        try:
            found = _columns(self._blocked_file, columns, rows)
            return [values.astype(np.float64, copy=False).reshape(BLOCKS, self._lead_times) for values in found]
        except Exception:  # a damaged file fails in any way
            return None

    @property
    def _layout(self) -> _Layout | None:
        if not self._read:
            self._read.append(self._read_layout())
        return self._read[0]

    def _read_layout(self) -> _Layout | None:
        try:
            sequence, lead_time = _columns(self.file, ["sequence", "lead_time"], self._most * self._lead_times)
            return _layout_of(sequence, lead_time, self._lead_times)
        except Exception:  # a damaged file fails in any way
            return None

    def _read_blocked(self) -> SequenceSet | None:
        """The sequences in the file of blocks; None if it is missing, damaged or of another file of values."""
        if not (self._blocked_file.is_file() and self.file.is_file()):
            return None
        try:
            metadata = pq.read_schema(self._blocked_file).metadata
            if metadata[SOURCE].decode() != fingerprint(self.file):
                return None
            sequences = SequenceSet(**json.loads(metadata[SEQUENCES]))
            known = type(sequences.count) is int and type(sequences.key) is str
            return sequences if known and BLOCKS < sequences.count <= self._most else None
        except Exception:  # a damaged file fails in any way
            return None


def fingerprint(file: Path) -> str:
    """Hash of a Parquet file's size and footer: places, sizes and extremes of its columns.

    It tells files of different runs or scorings apart, but a forger can make it: 'stbench verify' reads no blocks.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no Parquet file.
    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - 8, 0))
        tail = stream.read()
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > min(size - 8, LARGEST_FOOTER):
            raise ValueError("no Parquet file")
        stream.seek(size - 8 - length)
        return hashlib.sha256(f"{size} ".encode() + stream.read(length)).hexdigest()


def write_blocks(path: Path, source: Path, sequences: SequenceSet, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write statistics of blocks, columns (B, T), made of the file ``source``."""
    known = {SOURCE: fingerprint(source), SEQUENCES: json.dumps(asdict(sequences))}
    table = pa.table({name: values_BT.reshape(-1) for name, values_BT in columns.items()})
    pq.write_table(table.replace_schema_metadata(known), path, use_dictionary=False)


def _columns(file: Path, names: Sequence[str], most: int) -> list[NDArray[Any]]:
    """Columns of a file.

    Raises:
        ValueError: it is no regular file, holds more than ``most`` rows, or other than numbers.
    """
    if not file.is_file():
        raise ValueError("no file")
    with pq.ParquetFile(file, pre_buffer=False) as columns:  # whole columns, in order: nothing to read ahead
        rows, types = columns.metadata.num_rows, columns.schema_arrow.types
        if rows > most:
            raise ValueError(f"{rows} rows")
        if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in types):
            raise ValueError("columns of other than numbers")
        table = columns.read(list(names), use_threads=False)  # the caller reads several files at once
    return [table[name].to_numpy() for name in names]


def _layout_of(sequence: NDArray[Any], lead_time: NDArray[Any], lead_times: int) -> _Layout:
    """The layout of a file of values per sequence, from two of its columns.

    Raises:
        ValueError: its rows are not every sequence at every lead time.
    """
    if sequence.dtype.kind not in "iu" or lead_time.dtype.kind not in "iu":
        raise ValueError("its numbers are not whole")
    numbers = _numbers_in_order(sequence, lead_time, lead_times)
    order = None
    if numbers is None:
        sorted_ = np.lexsort((lead_time, sequence))
        numbers, counts = np.unique(sequence, return_counts=True)
        if (counts != lead_times).any():
            raise ValueError("a sequence lacks lead times")
        order = None if (sorted_ == np.arange(len(sorted_))).all() else sorted_
    return _Layout(SequenceSet.of(numbers), order)


def _numbers_in_order(sequence: NDArray[Any], lead_time: NDArray[Any], lead_times: int) -> NDArray[Any] | None:
    """The sequences' numbers (N,) where rows are as scoring writes them, which needs no sorting; else None."""
    if not len(sequence) or len(sequence) % lead_times:
        return None
    sequence_NT, lead_NT = sequence.reshape(-1, lead_times), lead_time.reshape(-1, lead_times)
    whole = (sequence_NT == sequence_NT[:, :1]).all() and (lead_NT[1:] == lead_NT[:-1]).all()
    ascending = (sequence_NT[1:, 0] > sequence_NT[:-1, 0]).all() and (lead_NT[0, 1:] > lead_NT[0, :-1]).all()
    return sequence_NT[:, 0] if whole and ascending else None
