"""Run folders of version 0.1.0 still load: spec, numbers, weights and table, as they were when they were made.

``stbench run --methods tau,persistence --dataset moving_digits --protocol quick --epochs 1`` made them, at small sizes.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from stbench import load
from stbench.report.analysis.section import make_report
from stbench.report.collect.records import RunRecord, collect
from stbench.report.produce import Format, produce

RUNS = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0"


@pytest.fixture(scope="module")
def records() -> dict[str, RunRecord]:
    collected = collect([RUNS])
    assert not collected.left_out
    return {record.spec.method: record for record in collected.records}


@pytest.mark.parametrize(("method", "run_id"), [("tau", "c01ebb72b019"), ("persistence", "90808f73f58b")])
def test_the_run_id_is_still_the_hash_of_the_spec(records: dict[str, RunRecord], method: str, run_id: str) -> None:
    assert records[method].spec.run_id == records[method].result.run_id == run_id


def test_every_number_is_read_as_it_was_written(records: dict[str, RunRecord]) -> None:
    for record in records.values():
        written = json.loads((record.folder.path / "result.json").read_text(encoding="utf-8"))["test"]
        read = {
            name: metric.model_dump(mode="json", include={"total", "lead_times"})
            for name, metric in record.result.test.items()
        }
        assert read == written


def test_weights_predict_what_they_predicted(records: dict[str, RunRecord]) -> None:
    predictor = load(records["tau"].folder.path, device="cpu")
    with np.load(records["tau"].folder.path / "samples.npz") as samples:
        np.testing.assert_allclose(predictor.predict(samples["past"]), samples["prediction"], atol=1e-4)


def test_tables_show_them(records: dict[str, RunRecord], tmp_path: Path) -> None:
    produce(make_report(collect([RUNS])), tmp_path, [Format.MD])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for record in records.values():
        assert f"{record.result.test['mse_frame'].total:.2f}" in text
