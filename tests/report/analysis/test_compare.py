"""Metrics of several statistics are compared through these."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stbench.metrics import sequences
from stbench.metrics.metric import Metric
from stbench.report.analysis import compare, lead_time
from stbench.report.analysis.compare import Entry, finish_of, frame_statistics, standings
from stbench.report.analysis.lead_time import series
from stbench.report.analysis.table import Row
from tests.report.runs import make_run, make_spec, write_frames


@dataclass(frozen=True, kw_only=True)
class SuccessIndex(Metric):
    """Hits over hits, misses and false alarms."""

    def statistics(self, frames: Any) -> Any:
        raise AssertionError("a report computes no statistics of frames")

    def finish(self, means: Sequence[Any]) -> Any:
        return means[0] / means[1]


@pytest.fixture
def csi(monkeypatch: pytest.MonkeyPatch) -> str:
    metric = SuccessIndex(name="csi", formula="", unit="", lower_is_better=False, parts=("hits", "events"))
    for module in (compare, sequences, lead_time):
        monkeypatch.setattr(module, "get_metric", lambda _: metric)
    return metric.name


def row(root: Path, name: str, skill: float) -> Entry:
    records = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        record = make_run(root, make_spec(name, seed), np.ones((40, 3)))
        events = rng.integers(0, 9, (40, 3)).astype(float)  # some sequences have no event: their ratio is undefined
        hits = np.floor(events * skill * rng.uniform(0.8, 1.0, (40, 3)))
        with np.errstate(invalid="ignore"):
            write_frames(record.folder, {"csi": hits / events, "csi.hits": hits, "csi.events": events})
        records.append(record)
    return Entry(records, trained=True)


def test_a_ratio_of_sums_is_resampled_through_its_parts(csi: str, tmp_path: Path) -> None:
    entries = [row(tmp_path, "good", 1.0), row(tmp_path, "bad", 0.5)]
    found = [entry.values(csi) for entry in entries]
    means = []
    for entry, values in zip(entries, found, strict=True):
        assert values is not None
        scores = []
        for record in entry.records:
            hits, events = (record.values.frames(f"csi.{part}") for part in ("hits", "events"))
            assert hits is not None
            assert events is not None
            scores.append(hits.sum() / events.sum())
        np.testing.assert_allclose(values.scores, scores)
        means.append(float(np.mean(scores)))
    column = standings(entries, means, csi)
    assert [place.rank for place in column.standings if place is not None] == [1, 2]
    behind = column.standings[1]
    assert behind is not None
    assert behind.difference is not None
    assert behind.difference.estimate == pytest.approx(means[1] - means[0])
    assert behind.difference.clear


def test_bands_finish_each_lead_time_from_its_parts(csi: str, tmp_path: Path) -> None:
    entry = row(tmp_path, "good", 1.0)
    statistics = [frame_statistics(record, csi) for record in entry.records]
    by_lead = [one.mean(axis=1) for one in statistics if one is not None]
    expected = np.mean([hits / events for hits, events in by_lead], axis=0)
    result = {csi: entry.records[0].result.test["psnr"]}
    records = tuple(type(r)(r.folder, r.spec, r.result.model_copy(update={"test": result})) for r in entry.records)
    found = series(Row("good", records, {}, {}), csi)
    assert found is not None
    assert found.low is not None
    np.testing.assert_allclose(found.centre, expected)
    assert (found.low < expected).all()


def test_a_root_of_a_mean_is_finished_from_squares(tmp_path: Path) -> None:
    assert finish_of("rmse_frame")(np.array([[4.0, 9.0]])).tolist() == [2.0, 3.0]
    assert finish_of("mse_frame") is compare.mean_of_one
