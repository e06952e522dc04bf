"""``per_sequence.parquet``: one row per test sequence and lead time, written as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from stbench.data.dataset import Indices
from stbench.metrics import get_metric
from stbench.metrics.frames import finish_frames
from stbench.schema.folder import RunFolder, write_with

if TYPE_CHECKING:
    from stbench.train.engine import Engine

FILE = "per_sequence.parquet"
GROUP_ROWS = 1 << 18
"""Rows of the file that are written, and read, together."""


def columns_of(name: str) -> list[str]:
    """Return the columns of a metric: its value, then the statistics that its score is finished from, if others."""
    metric = get_metric(name)
    return [name, *(f"{name}.{part}" for part in metric.parts if metric.reduction == "parts")]


class SequenceWriter:
    """Write values of frames batch by batch; the files of all processes are merged at the end of the block.

    Columns: ``sequence`` (index in the split), ``lead_time`` (from 1), one float64 column per metric. A metric whose
    score is finished from other statistics also has columns ``metric.part``, whose means give its score over any
    frames. In data that lack values, a frame without any true value is NaN in all columns and enters no mean.
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
        self._left_out: set[str] = set()
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
        lead_times = next(iter(statistics.values()))[0].shape[1]
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
