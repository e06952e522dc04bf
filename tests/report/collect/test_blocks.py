"""Blocks of sequences beside a run's values: read instead where they are of them, and only there."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stbench.report.analysis.compare import Entry
from stbench.report.analysis.lead_time import series
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import RunRecord, collect
from stbench.schema.sequences import BLOCKED, SequenceValues
from tests.report.runs import block, make_run, make_spec, noisy

VALUES = "per_sequence.parquet"
MANY = 4500
"""Sequences, in 4000 blocks of one or two."""


def runs(root: Path) -> list[RunRecord]:
    rng = np.random.default_rng(0)
    return [
        make_run(root, make_spec(name, seed), noisy(rng, level, MANY))
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


def test_tables_and_bands_read_blocks_only_and_equal_those_of_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runs(tmp_path)
    (without,) = make_tables(collect([tmp_path]).records)
    bands = [series(row, "mse_frame") for row in without.rows]
    for record in made:
        block(record)
    forbid_frames(monkeypatch)
    (blocked,) = make_tables(collect([tmp_path]).records)
    assert [row.standings for row in blocked.rows] == [row.standings for row in without.rows]
    assert [row.cells for row in blocked.rows] == [row.cells for row in without.rows]
    assert [r.sequence_key for r in blocked.records] == [r.sequence_key for r in without.records]
    for row, expected in zip(blocked.rows, bands, strict=True):
        found = series(row, "mse_frame")
        assert found is not None and found.low is not None  # noqa: PT018
        assert expected is not None and expected.low is not None  # noqa: PT018
        np.testing.assert_array_equal((found.low, found.high), (expected.low, expected.high))


def test_infinite_values_have_no_interval_and_warn_of_nothing(tmp_path: Path) -> None:
    frames_NT = noisy(np.random.default_rng(0), 1.0, MANY)
    frames_NT[7, 1] = np.inf
    record = make_run(tmp_path, make_spec(), frames_NT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        block(record)
        assert Entry([RunRecord(record.folder, record.spec, record.result)], trained=True).values("mse_frame") is None


def test_few_sequences_have_no_blocks(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, 4000))
    assert not block(record).exists()


def test_blocks_of_unequal_length_have_the_mean_of_all_sequences(tmp_path: Path) -> None:
    frames_NT = noisy(np.random.default_rng(0), 1.0, MANY)
    record = make_run(tmp_path, make_spec(), frames_NT)
    values_BT = pd.read_parquet(block(record))["mse_frame"].to_numpy().reshape(4000, 3)
    mean_T = frames_NT.mean(axis=0)
    deviations_BT = (values_BT - mean_T) * MANY / 4000
    np.testing.assert_allclose(deviations_BT[:7], frames_NT[:7] - mean_T)
    np.testing.assert_allclose(deviations_BT[7], (frames_NT[7:9] - mean_T).sum(axis=0))
    np.testing.assert_allclose(values_BT.mean(axis=0), mean_T)


def test_sequences_out_of_order_have_their_own_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, MANY))
    expected = values_of(record)
    file = record.folder.file(VALUES)
    pd.read_parquet(file).sample(frac=1.0, random_state=0).to_parquet(file)
    block(record)
    forbid_frames(monkeypatch)
    np.testing.assert_array_equal(values_of(record), expected)


def other_value(record: RunRecord) -> None:
    file = record.folder.file(VALUES)
    frame = pd.read_parquet(file)
    frame["mse_frame"] *= 2
    frame.to_parquet(file)


def other_run(record: RunRecord) -> None:
    other = make_run(record.folder.path.parent, make_spec("other"), noisy(np.random.default_rng(9), 5.0, MANY))
    block(other).replace(record.folder.file(BLOCKED))


def torn(record: RunRecord) -> None:
    file = record.folder.file(BLOCKED)
    file.write_bytes(file.read_bytes()[:-20])


def changed(record: RunRecord, table: pa.Table, **metadata: str) -> None:
    """Write other blocks, with the metadata of the true ones but for some."""
    file = record.folder.file(BLOCKED)
    known = pq.read_schema(file).metadata | {f"stbench.{key}".encode(): text for key, text in metadata.items()}
    pq.write_table(table.replace_schema_metadata(known), file)


def doubled(record: RunRecord) -> pa.Table:
    return pa.Table.from_pandas(2 * pd.read_parquet(record.folder.file(BLOCKED)))


def no_source(record: RunRecord) -> None:
    pq.write_table(doubled(record).replace_schema_metadata({}), record.folder.file(BLOCKED))


def no_sequences(record: RunRecord) -> None:
    changed(record, doubled(record), sequences="{}")


def too_many_sequences(record: RunRecord) -> None:
    changed(record, doubled(record), sequences=json.dumps({"count": MANY + 1, "key": "0"}))


def no_number(record: RunRecord) -> None:
    changed(record, doubled(record), sequences=json.dumps({"count": str(MANY), "key": "0"}))


def no_whole_number(record: RunRecord) -> None:
    changed(record, doubled(record), sequences=json.dumps({"count": MANY - 0.5, "key": "0"}))


def no_key(record: RunRecord) -> None:
    changed(record, doubled(record), sequences=json.dumps({"count": MANY, "key": ["0"]}))


def lacking_blocks(record: RunRecord) -> None:
    changed(record, doubled(record).slice(0, 3 * 3999))


def too_many_blocks(record: RunRecord) -> None:
    changed(record, pa.concat_tables([doubled(record)] * 2))


@pytest.mark.parametrize(
    "change",
    [
        other_value,
        other_run,
        torn,
        no_source,
        no_sequences,
        no_number,
        no_whole_number,
        no_key,
        too_many_sequences,
        lacking_blocks,
        too_many_blocks,
    ],
)
def test_blocks_that_are_not_of_these_values_are_not_read(change: Callable[[RunRecord], None], tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, MANY))
    block(record)
    change(record)
    frames_NT = record.open_values().frames("mse_frame")
    assert frames_NT is not None
    assert record.open_values().sequences is not None
    assert values_of(record).mean() == pytest.approx(frames_NT.mean())


@pytest.mark.parametrize("name", [VALUES, BLOCKED])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, MANY))
    block(record)
    record.folder.file(name).unlink()
    os.mkfifo(record.folder.file(name))
    (found,) = collect([tmp_path]).records
    assert found.complete == (name == BLOCKED)


def test_a_metric_without_blocks_is_made_of_its_values(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, MANY))
    expected = values_of(record)
    file = block(record)
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["mse_frame"]), file)
    np.testing.assert_array_equal(values_of(record), expected)


def test_values_that_are_gone_have_no_blocks(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 1.0, MANY))
    block(record)
    record.folder.file(VALUES).unlink()
    (found,) = collect([tmp_path]).records
    assert not found.complete
    assert found.sequence_count == 0
