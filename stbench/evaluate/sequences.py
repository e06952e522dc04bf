"""``per_sequence.parquet``, written as a stream, and the blocks of its sequences."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from stbench.data.dataset import Indices
from stbench.metrics import get_metric
from stbench.metrics.frames import finish_frames
from stbench.metrics.sequences import blocked, columns_of, recorded_statistics, statistic_columns
from stbench.schema.folder import RunFolder, write_with
from stbench.schema.sequences import BLOCKED, FILE, SequenceValues, block_starts, write_blocks

if TYPE_CHECKING:
    from stbench.train.engine import Engine

GROUP_ROWS = 1 << 18
"""Rows of the file that are written, and read, together."""


class SequenceWriter:
    """Write values of frames batch by batch; the files of all processes are merged at the end of the block.

    Columns: ``sequence`` (index in the split), ``lead_time`` (from 1), one float64 column per metric. A metric whose
    score is finished from other statistics also has columns ``metric.part``, whose means give its score over any
    frames. In data that lack values, a frame without any true value is NaN in all columns and enters no mean.

    Of many sequences, the metrics' statistics of blocks of neighbours are written too
    (:mod:`stbench.metrics.sequences`); reports read a fraction of the bytes there.
    """

    def __init__(self, folder: RunFolder | None, metrics: Sequence[str], engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        fields = [
            ("sequence", pa.int64()),
            ("lead_time", pa.int32()),
            *((name, pa.float64()) for metric in metrics for name in columns_of(metric)),
        ]
        self.schema = pa.schema(fields)
        self._metrics = list(metrics)
        self._left_out: set[str] = set()
        self._lead_times = 0
        self._incomplete = False
        self._writer: Any = None

    def __enter__(self) -> Self:
        if self.folder is not None:
            self._writer = pq.ParquetWriter(self._part(self.engine.rank), self.schema)
        return self

    def write(self, indices: Indices, statistics: Mapping[str, Sequence[Tensor]], scored: Tensor | None = None) -> None:
        """Add a batch: clip numbers (B,) and the statistics of every metric, (B, T) per part.

        ``scored``: (B, T) bool, False for frames without any true value, all of whose numbers become NaN.
        """
        if self._writer is None:
            return
        lead_times = self._lead_times = next(iter(statistics.values()))[0].shape[1]
        self._incomplete = scored is not None
        if scored is not None:
            statistics = {n: [x.where(scored, torch.nan) for x in parts] for n, parts in statistics.items()}
        values = {name: [finish_frames(name, parts)] for name, parts in statistics.items()}
        for name in values:
            if get_metric(name).reduction == "parts":
                values[name] += [part.cpu().numpy() for part in statistics[name]]
        columns = {
            "sequence": np.repeat(indices, lead_times),
            "lead_time": np.tile(np.arange(1, lead_times + 1, dtype=np.int32), len(indices)),
            **{
                column: frames.reshape(-1)
                for name, found in values.items()
                for column, frames in zip(columns_of(name), found, strict=True)
            },
        }
        self._writer.write_table(pa.table(columns, schema=self.schema))

    def leave_out(self, metrics: Iterable[str]) -> None:
        """Keep the columns of some metrics out of the file: the whole pass showed that they mean nothing."""
        self._left_out = {column for name in metrics for column in columns_of(name)}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None or self.folder is None:
            return
        self._writer.close()
        if kind is not None:
            self._part(self.engine.rank).unlink(missing_ok=True)
            return
        self.engine.barrier()
        if self.engine.is_main:
            parts = [self._part(rank) for rank in range(self.engine.world_size)]
            write_with(self.folder.file(FILE), lambda path: self._join(parts, path))
            for part in parts:
                part.unlink()
            kept = [name for name in self._metrics if name not in self._left_out]
            values = SequenceValues(self.folder.path, self._lead_times, most=sys.maxsize)
            add_blocks(values, kept, incomplete=self._incomplete)

    def _part(self, rank: int) -> Path:
        if self.folder is None:
            raise ValueError("no folder to write to")
        return self.folder.file(f".{FILE}.rank{rank}.tmp")

    def _join(self, parts: Sequence[Path], target: Path) -> None:
        schema = pa.schema([field for field in self.schema if field.name not in self._left_out])
        # values hardly repeat: a dictionary of them takes time to write and to read
        with pq.ParquetWriter(target, schema, use_dictionary=["sequence", "lead_time"]) as writer:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches(GROUP_ROWS, columns=schema.names):
                    writer.write_batch(batch)


def add_blocks(values: SequenceValues, metrics: Iterable[str], *, incomplete: bool) -> None:
    """Write the file of blocks beside recorded values of more sequences than there are blocks.

    Args:
        values: the recorded values.
        metrics: names of the metrics.
        incomplete: the data lack values.
    """
    sequences = values.sequences
    if sequences is None or len(block_starts(sequences.count)) == sequences.count:
        return
    columns: dict[str, NDArray[Any]] = {}
    for name in metrics:
        all_JNT = recorded_statistics(values.frames, name, incomplete=incomplete)
        if all_JNT is not None:
            columns |= dict(zip(statistic_columns(name, incomplete=incomplete), blocked(all_JNT), strict=True))
    target = values.file.with_name(BLOCKED)
    write_with(target, lambda path: write_blocks(path, values.file, sequences, columns))
