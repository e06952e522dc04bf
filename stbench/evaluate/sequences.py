"""``per_sequence.parquet``: a row per test sequence and lead time, streamed: memory does not grow with the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from stbench.data.dataset import Indices
from stbench.schema.folder import RunFolder, write_with

if TYPE_CHECKING:
    from stbench.train.engine import Engine

FILE = "per_sequence.parquet"


class SequenceWriter:
    """Writes frame values batch by batch; the processes' parts become one file when the block ends well.

    Columns: ``sequence`` (index in the split), ``lead_time`` (from 1), one float64 column per metric.
    """

    def __init__(self, folder: RunFolder | None, metrics: Sequence[str], engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        fields = [("sequence", pa.int64()), ("lead_time", pa.int32()), *((m, pa.float64()) for m in metrics)]
        self.schema = pa.schema(fields)
        self._writer: Any = None

    def __enter__(self) -> Self:
        if self.folder is not None:
            self._writer = pq.ParquetWriter(self._part(self.engine.rank), self.schema)
        return self

    def write(self, indices: Indices, values: Mapping[str, Tensor]) -> None:
        """Add a batch: clip numbers (B,), frame values (B, T) per metric."""
        if self._writer is None:
            return
        lead_times = next(iter(values.values())).shape[1]
        columns = {
            "sequence": np.repeat(indices, lead_times),
            "lead_time": np.tile(np.arange(1, lead_times + 1, dtype=np.int32), len(indices)),
            **{name: frames.double().cpu().numpy().reshape(-1) for name, frames in values.items()},
        }
        self._writer.write_table(pa.table(columns, schema=self.schema))

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
        with pq.ParquetWriter(target, self.schema) as writer:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches():
                    writer.write_batch(batch)
