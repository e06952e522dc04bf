"""Bands by lead time: the table's variances and Student's t, and noise of test sequences only for a single seed."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from stbench.report.analysis.lead_time import series
from stbench.report.analysis.resampling import RowValues
from stbench.report.analysis.stretches import Stretches
from stbench.report.analysis.table import Row, make_tables
from stbench.report.analysis.uncertainty import measure
from stbench.report.figures import draw_lead_times
from tests.report.runs import make_run, make_spec, noisy, write_frames


def rows(root: Path) -> dict[str, Row]:
    rng = np.random.default_rng(1)
    records = [make_run(root, make_spec("alpha", seed), noisy(rng, 1.0)) for seed in range(3)]
    records.append(make_run(root, make_spec("single"), noisy(rng, 2.0)))
    records.append(make_run(root, make_spec("still", training=None), noisy(rng, 4.0), parameters=0))
    (table,) = make_tables(records)
    return {row.label: row for row in table.rows}


def test_a_band_without_seeds_is_student_s_interval_of_the_mean(tmp_path: Path) -> None:
    row = rows(tmp_path)["still"]
    found = series(row, "mse_frame")
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    values_NT = row.runs[0].values.frames("mse_frame")
    assert values_NT is not None
    low, high = stats.t.interval(0.95, len(values_NT) - 1, values_NT.mean(axis=0), stats.sem(values_NT, axis=0))
    np.testing.assert_allclose((found.low, found.high), (low, high))
    assert not found.test_noise_only


@pytest.mark.parametrize("damage", ["another number of sequences", "not finite", "no file"])
def test_a_run_without_its_values_leaves_the_means_of_its_row(damage: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [make_run(tmp_path, make_spec("alpha", seed), noisy(rng, 1.0, count=20)) for seed in range(2)]
    if damage == "another number of sequences":
        records[1] = make_run(tmp_path, make_spec("alpha", 1), noisy(rng, 1.0, count=21))
    elif damage == "not finite":
        values = noisy(rng, 1.0, count=20)
        values[4, 1] = np.inf
        write_frames(records[1].folder, {"mse_frame": values})
    else:
        records[1].folder.file("per_sequence.parquet").unlink()
    found = series(Row("alpha", tuple(records), {}, {}), "mse_frame")
    assert found is not None
    assert found.low is None
    assert found.centre.shape == (3,)


def test_blocks_of_other_sequences_are_not_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds, of 40 and of 41 sequences in 10 blocks each: blocks of one shape, which nothing pairs."""
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 10)
    rng = np.random.default_rng(0)
    records = [make_run(tmp_path, make_spec("alpha", seed), noisy(rng, 1.0, count=40 + seed)) for seed in range(2)]
    for row, has_band in ((records, False), (records[:1], True)):
        found = series(Row("alpha", tuple(row), {}, {}), "mse_frame")
        assert found is not None
        assert (found.low is not None) == has_band


def test_one_seed_shows_test_noise_and_says_so(tmp_path: Path) -> None:
    made = rows(tmp_path)
    single, several = series(made["single"], "mse_frame"), series(made["alpha"], "mse_frame")
    assert single is not None
    assert several is not None
    assert (single.test_noise_only, several.test_noise_only) == (True, False)
    table = make_tables([record for row in made.values() for record in row.runs])[0]
    assert draw_lead_times(table, tmp_path / "figure")


def test_figures_and_page_share_one_computation(tmp_path: Path) -> None:
    row = rows(tmp_path)["alpha"]
    assert series(row, "mse_frame") is series(row, "mse_frame")


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("between", [0.0, 0.1, 1.0])
def test_bands_hold_the_true_score(seeds: int, between: float) -> None:
    rng, held, count = np.random.default_rng(2), [], 60
    stretches = Stretches(np.arange(count), count, correlated=False)
    for _ in range(2000):
        values = rng.normal(size=(1, count)) + 0.5 * rng.normal(size=(seeds, count))
        values += between * rng.normal(size=(seeds, 1))
        known = measure([RowValues(values[None])], stretches)
        held.append(abs(known.scores[0]) <= known.margin(0, 0.95))
    assert 0.93 <= np.mean(held) <= 0.98
