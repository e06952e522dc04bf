"""Scores of a run made again from its values per sequence, and compared with those that it recorded.

Axes: J statistics of a metric, N test sequences, T lead times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stbench.errors import first_line
from stbench.metrics import get_metric
from stbench.metrics.frechet import FrechetDistance
from stbench.metrics.sequences import recorded_statistics
from stbench.report.analysis.compare import finish_of
from stbench.report.collect.records import RunRecord
from stbench.schema import Score
from stbench.schema.sequences import FILE as VALUES

Array = NDArray[np.float64]
LARGEST_TABLE = 1 << 30
"""Bytes of a file of values once it is unpacked."""
ROUNDING = 1e-9
"""Relative difference of two sums of the same float64 numbers in another order."""


def wrong_scores(record: RunRecord) -> Iterator[str]:
    """Yield one line per recorded score of a run that its values per sequence do not give; also of its scenarios.

    Distances of whole sets (Fréchet) have no values per sequence and are not compared.
    """
    incomplete = record.incomplete
    if record.finished:
        result = record.result
        yield from _wrong(record.folder.file(VALUES), result.test, result.test_clips, "result.json", incomplete)
    for name, scenario in record.scenarios.items():
        for number, case in enumerate(scenario.cases):
            file = record.case(name, number).folder.file(VALUES)
            yield from _wrong(file, case.metrics, case.clips, f"{name}, {case.label}", incomplete)


def score_again(columns: Mapping[str, Array], metric: str, *, incomplete: bool = False) -> tuple[float, Array]:
    """Return total and score per lead time (T,) of a metric from its columns (N, T).

    ``incomplete``: frames without any true value are NaN in all columns and do not count.
    """
    values_JNT = recorded_statistics(columns.get, metric, incomplete=incomplete)
    if values_JNT is None:
        raise ValueError(f"no column of {metric}")
    finish = finish_of(metric, weighted=incomplete)
    by_lead_time_T = np.asarray(finish(values_JNT.mean(axis=1)), dtype=np.float64)
    total = by_lead_time_T.mean() if get_metric(metric).by_lead_time else finish(values_JNT.mean(axis=(1, 2)))
    return float(total), by_lead_time_T


def _wrong(file: Path, scores: Mapping[str, Score], clips: int, where: str, incomplete: bool) -> Iterator[str]:
    scores = {name: score for name, score in scores.items() if not isinstance(get_metric(name), FrechetDistance)}
    if not scores:
        return
    lead_times = len(next(iter(scores.values())).lead_times)
    try:
        columns = _columns(file, clips, lead_times)
        for metric, score in scores.items():
            total, by_lead_time = score_again(columns, metric, incomplete=incomplete)
            if not _same(total, score.total):
                yield f"{where}: {metric} is {score.total!r}, the values per sequence give {total!r}"
            for step, (now, recorded) in enumerate(zip(by_lead_time.tolist(), score.lead_times, strict=True), start=1):
                if not _same(now, recorded):
                    yield f"{where}: {metric} at lead time {step} is {recorded!r}, the values per sequence give {now!r}"
    except Exception as error:  # a damaged file fails in any way
        yield f"{where}: its scores cannot be made again from {file.name} ({first_line(error)})"


def _columns(file: Path, clips: int, lead_times: int) -> dict[str, Array]:
    """Return the columns of a file of values, each (N, T) with sequences and lead times ascending.

    Raises:
        ValueError: it is too large, or its rows are not those of ``clips`` sequences at every lead time.
    """
    layout = pq.ParquetFile(file).metadata
    size = sum(layout.row_group(group).total_byte_size for group in range(layout.num_row_groups))
    if size > LARGEST_TABLE or layout.num_rows != clips * lead_times:
        raise ValueError(f"{layout.num_rows} rows of {size} bytes for {clips} sequences at {lead_times} lead times")
    frame = pd.read_parquet(file).sort_values(["sequence", "lead_time"])
    steps_NT = frame["lead_time"].to_numpy().reshape(clips, lead_times)
    sequences_NT = frame["sequence"].to_numpy().reshape(clips, lead_times)
    if (steps_NT != np.arange(1, lead_times + 1)).any() or len(np.unique(sequences_NT[:, 0])) != clips:
        raise ValueError("a sequence lacks lead times or occurs twice")
    names = [name for name in frame.columns if name not in ("sequence", "lead_time")]
    return {name: frame[name].to_numpy(dtype=np.float64).reshape(clips, lead_times) for name in names}


def _same(now: float, recorded: float) -> bool:
    both_undefined = math.isnan(now) and math.isnan(recorded)
    return both_undefined or math.isclose(now, recorded, rel_tol=ROUNDING, abs_tol=1e-300)
