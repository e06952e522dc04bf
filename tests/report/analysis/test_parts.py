"""A metric that is a ratio of sums: reports re-sum its parts, they do not average its values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from stbench.metrics import METRICS, Metric
from stbench.metrics.sequences import by_sequence
from stbench.report.analysis.compare import finish_of, frame_statistics, total_of
from stbench.report.analysis.resampling import RowValues
from stbench.schema import ClipShape
from tests.report.runs import make_run, make_spec, write_frames


class Ratio(Metric):
    def statistics(self, frames: Any) -> tuple[Tensor, ...]:
        raise NotImplementedError  # the run is made by hand

    def finish(self, means: Any) -> Any:
        return means[0] / means[1]


RATIO = Ratio(name="hit_rate", formula="Σ hits / Σ events", unit="", lower_is_better=False, parts=("hits", "events"))


def test_parts_are_summed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS._loaded, "hit_rate", RATIO)
    hits_NT, events_NT = np.array([[1.0, 0.0], [3.0, 1.0]]), np.array([[2.0, 0.0], [10.0, 1.0]])
    record = make_run(
        tmp_path, make_spec(shape=ClipShape(t_in=2, t_out=2, channels=1, height=8, width=8)), np.ones((2, 2))
    )
    with np.errstate(invalid="ignore"):
        value_NT = hits_NT / events_NT
    columns = {"hit_rate": value_NT, "hit_rate.hits": hits_NT, "hit_rate.events": events_NT}
    write_frames(record.folder, columns)
    found_JNT = frame_statistics(record, "hit_rate")
    assert found_JNT is not None
    assert found_JNT.shape == (2, 2, 2)
    assert finish_of("hit_rate")(found_JNT.mean(axis=(1, 2))) == 5 / 13
    write_frames(record.folder, {"hit_rate": value_NT})
    assert frame_statistics(record, "hit_rate") is None


def test_the_mean_of_lead_times_is_resampled_as_such() -> None:
    statistics_JNT = np.array([[[3.0, 1.0]], [[1.0, 2.0]], [[0.0, 2.0]]])  # hits, misses, false alarms of one sequence
    means = by_sequence(statistics_JNT, "csi_lead@5").mean(axis=1)
    assert total_of("csi_lead@5")(means) == pytest.approx((0.75 + 0.2) / 2)
    pooled = by_sequence(statistics_JNT, "csi@5").mean(axis=1)
    assert total_of("csi@5")(pooled) == pytest.approx(4 / 9)
    row = RowValues(by_sequence(np.repeat(statistics_JNT, 20, axis=1), "csi_lead@5")[:, None], total_of("csi_lead@5"))
    assert row.scores == pytest.approx([0.475])
    assert row.influence == pytest.approx(np.full((1, 20), 0.475))
