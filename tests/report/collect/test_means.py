"""Means of sequences beside a run's values: read instead of them where they are of them, and only there."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from stbench.report.analysis.compare import Entry
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import RunRecord, collect
from stbench.schema.sequences import MEANS, SequenceValues
from tests.report.runs import add_means, make_run, make_spec, noisy

VALUES = "per_sequence.parquet"


def runs(root: Path) -> list[RunRecord]:
    rng = np.random.default_rng(0)
    return [
        make_run(root, make_spec(name, seed), noisy(rng, level))
        for name, level in (("alpha", 1.0), ("beta", 1.2))
        for seed in range(2)
    ]


def values_of(record: RunRecord) -> np.ndarray:
    again = RunRecord(record.folder, record.spec, record.result)  # opens the files anew
    found = Entry([again], trained=True).values("mse_frame")
    assert found is not None
    return found.statistics


def forbid_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: SequenceValues, column: str) -> None:
        raise AssertionError(f"values of {column} were read")

    monkeypatch.setattr(SequenceValues, "frames", refuse)


def test_a_table_reads_means_only_and_equals_that_of_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runs(tmp_path)
    (without,) = make_tables(collect([tmp_path]).records)
    for record in made:
        add_means(record)
    forbid_frames(monkeypatch)
    (with_means,) = make_tables(collect([tmp_path]).records)
    assert [row.standings for row in with_means.rows] == [row.standings for row in without.rows]
    assert [row.cells for row in with_means.rows] == [row.cells for row in without.rows]
    assert [r.sequence_key for r in with_means.records] == [r.sequence_key for r in without.records]


def test_sequences_out_of_order_have_their_own_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    expected = values_of(record)
    file = record.folder.file(VALUES)
    pd.read_parquet(file).sample(frac=1.0, random_state=0).to_parquet(file)
    add_means(record)
    forbid_frames(monkeypatch)
    np.testing.assert_array_equal(values_of(record), expected)


def other_value(record: RunRecord) -> None:
    file = record.folder.file(VALUES)
    frame = pd.read_parquet(file)
    frame["mse_frame"] *= 2
    frame.to_parquet(file)


def other_run(record: RunRecord) -> None:
    other = make_run(record.folder.path.parent, make_spec("other"), noisy(np.random.default_rng(9), 5.0))
    add_means(other).replace(record.folder.file(MEANS))


def torn(record: RunRecord) -> None:
    file = record.folder.file(MEANS)
    file.write_bytes(file.read_bytes()[:-20])


def no_source(record: RunRecord) -> None:
    file = record.folder.file(MEANS)
    (2 * pd.read_parquet(file)).to_parquet(file)


def no_sequences(record: RunRecord) -> None:
    file = record.folder.file(MEANS)
    pq.write_table(pq.read_table(file).slice(0, 0), file)


def out_of_order(record: RunRecord) -> None:
    file = record.folder.file(MEANS)
    table = pq.read_table(file)
    pq.write_table(table.take(np.arange(len(table))[::-1]), file)


@pytest.mark.parametrize("change", [other_value, other_run, torn, no_source, no_sequences, out_of_order])
def test_means_that_are_not_of_these_values_are_not_read(change: Callable[[RunRecord], None], tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    add_means(record)
    change(record)
    frames_NT = record.open_values().frames("mse_frame")
    assert frames_NT is not None
    np.testing.assert_allclose(values_of(record)[0, 0], frames_NT.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", [VALUES, MEANS])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    add_means(record)
    record.folder.file(name).unlink()
    os.mkfifo(record.folder.file(name))
    (found,) = collect([tmp_path]).records
    assert found.complete == (name == MEANS)


def test_a_metric_without_means_is_made_of_its_values(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    expected = values_of(record)
    file = add_means(record)
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["mse_frame"]), file)
    np.testing.assert_array_equal(values_of(record), expected)


def test_values_that_are_gone_have_no_means(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0))
    add_means(record)
    record.folder.file(VALUES).unlink()
    (found,) = collect([tmp_path]).records
    assert not found.complete
    assert found.sequence_count == 0
