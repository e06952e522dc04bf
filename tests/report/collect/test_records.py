"""Which folders count as runs, and the reasons for the rest."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from stbench.errors import UserError
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import collect, records_of
from stbench.schema import Failure, RunSpec
from stbench.schema.folder import RunFolder
from tests.report.runs import make_run, make_spec

ERRORS = np.full((4, 3), 2.0)


def test_every_kind_of_folder_is_stated(tmp_path: Path) -> None:
    finished = make_run(tmp_path, make_spec("alpha"), ERRORS)
    failed = make_run(tmp_path, make_spec("beta"), failure=Failure(kind="diverged", reason="loss is NaN at step 7"))
    half = make_run(tmp_path, make_spec("gamma"), ERRORS).folder.path
    (half / "result.json").unlink()
    torn = make_run(tmp_path, make_spec("delta"), ERRORS).folder.path
    (torn / "result.json").write_text('{"run_id": "')
    changed = make_run(tmp_path, make_spec("epsilon"), ERRORS).folder.path
    result = json.loads((changed / "result.json").read_text())
    (changed / "result.json").write_text(json.dumps({**result, "run_id": "000000000000", "checksum": ""}))
    edited = make_run(tmp_path, make_spec("zeta"), ERRORS).folder.path
    (edited / "result.json").write_text((edited / "result.json").read_text().replace('"total": ', '"total": 1', 1))
    foreign = tmp_path / "holiday"
    foreign.mkdir()
    (foreign / "photo.txt").write_text("sea")
    (tmp_path / "notes.txt").write_text("not even a folder")
    (tmp_path / ".hidden").mkdir()

    found = collect([tmp_path])

    assert {r.name for r in found.records} == {finished.name, failed.name}
    assert set(found.left_out) == {half, torn, changed, edited, foreign}
    assert "not finished" in found.left_out[half]
    assert "result.json cannot be read" in found.left_out[torn]
    assert "of run 000000000000" in found.left_out[changed]
    assert "was changed after the run wrote it" in found.left_out[edited]
    assert found.left_out[foreign] == "not a run folder (no spec.yaml)"


def test_folders_of_several_machines_are_merged(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    make_run(here, make_spec("alpha", 0), ERRORS)
    make_run(there, make_spec("alpha", 1), ERRORS)
    copy = there / make_spec("alpha", 0).folder
    shutil.copytree(here / copy.name, copy)

    found = collect([here, there])

    assert sorted(r.spec.seed for r in found.records) == [0, 1]
    assert found.left_out == {copy: f"the same run as {here / copy.name}"}


@pytest.mark.parametrize("damaged", ["here", "there"])
def test_of_two_copies_the_intact_one_counts(damaged: str, tmp_path: Path) -> None:
    for place in ("here", "there"):
        record = make_run(tmp_path / place, make_spec(), ERRORS)
        if place == damaged:
            record.folder.file("per_sequence.parquet").write_bytes(b"PAR1 torn")
    found = collect([tmp_path / "here", tmp_path / "there"])
    (kept,) = found.records
    assert kept.folder.path.parent.name != damaged
    assert kept.sequence_count == 4
    assert found.left_out == {
        tmp_path / damaged / kept.name: (
            f"the same run as {kept.folder.path}, and its per_sequence.parquet cannot be read"
        )
    }


def test_a_damaged_file_of_the_only_copy_is_named(tmp_path: Path) -> None:
    file = make_run(tmp_path, make_spec(), ERRORS).folder.file("per_sequence.parquet")
    file.write_bytes(file.read_bytes()[:-50])
    found = collect([tmp_path])
    assert len(found.records) == 1
    assert list(found.left_out) == [file]
    assert found.left_out[file].startswith("cannot be read")


def test_what_is_not_trained_counts_once_whatever_the_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, make_spec("still", seed, training=None), ERRORS)
        make_run(tmp_path, make_spec("alpha", seed), ERRORS)
    make_run(tmp_path, make_spec("still", 2, training=None), ERRORS, data_fingerprint="other data")
    found = collect([tmp_path])
    seeds = [(r.spec.method, r.spec.seed) for r in found.records]
    assert sorted(seeds) == [("alpha", 0), ("alpha", 1), ("still", 0), ("still", 2)]
    (reason,) = found.left_out.values()
    assert "no training, so no seed" in reason


def test_one_run_folder_can_be_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_spec(), ERRORS)
    assert [r.name for r in collect([run.folder.path]).records] == [run.name]


def test_a_folder_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is not a folder"):
        collect([tmp_path / "nowhere"])


def test_records_of_a_plan_leave_out_what_is_not_done(tmp_path: Path) -> None:
    done, missing = make_spec("alpha"), make_spec("beta")
    make_run(tmp_path, done, ERRORS)
    assert [r.spec for r in records_of([done, missing], tmp_path)] == [done]


def test_frame_values_come_back_in_sequence_order(tmp_path: Path) -> None:
    values = np.arange(1.0, 13.0).reshape(4, 3)
    record = make_run(tmp_path, make_spec(), values)
    np.testing.assert_array_equal(record.values.frames("mse_frame"), values)
    assert record.sequence_count == 4
    assert record.values.frames("ssim") is None


def test_a_run_without_sequences_says_so(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), ERRORS)
    record.folder.file("per_sequence.parquet").write_bytes(b"PAR1 torn")
    assert record.sequence_count == 0
    assert record.values.frames("mse_frame") is None
    assert record.samples() == {}


def test_the_same_run_on_other_data_is_no_copy(tmp_path: Path) -> None:
    for place, data in (("here", "aaaa"), ("there", "bbbb")):
        make_run(tmp_path / place, make_spec(), ERRORS, data_fingerprint=data)
    found = collect([tmp_path / "here", tmp_path / "there"])
    assert [r.result.data_fingerprint for r in found.records] == ["aaaa", "bbbb"]
    assert not found.left_out
    assert len(make_tables(found.records)) == 2


def test_the_same_seed_by_other_code_counts_once_and_is_told(tmp_path: Path) -> None:
    for place, code in (("here", "c0de1"), ("there", "c0de2")):
        make_run(tmp_path / place, make_spec(), ERRORS, method_source=code)
    found = collect([tmp_path / "here", tmp_path / "there"])
    (reason,) = found.left_out.values()
    assert "by other code (method source c0de2, there c0de1)" in reason


def test_a_spec_is_parsed_once_and_anew_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path, make_spec("alpha"), [[1.0, 2.0, 3.0]]).folder
    file = folder.file("spec.yaml")
    parsed: list[Path] = []
    real = RunFolder._parsed_spec

    def counted(self: RunFolder) -> RunSpec:
        parsed.append(self.path)
        return real(self)

    monkeypatch.setattr(RunFolder, "_parsed_spec", counted)
    os.utime(file, (1.0, 1.0))
    assert folder.spec() == RunFolder(folder.path).spec() == make_spec("alpha")
    assert len(parsed) == 1
    file.write_text(file.read_text().replace("width: 4", "width: 5"))
    assert folder.spec().config == {"width": 5}
    file.write_text(file.read_text().replace("width: 5", "width: 6"))  # perhaps within the clock's tick
    assert folder.spec().config == {"width": 6}


def test_parameters_are_counted_once_per_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    from stbench.report.analysis import parameters

    asked: list[object] = []
    monkeypatch.setattr(parameters, "_count", lambda *given: asked.append(given) or 7)
    counts = [parameters.configured_parameters(make_spec("odd-name", seed)) for seed in range(3)]
    assert (counts, len(asked)) == ([7, 7, 7], 1)
    parameters._count_once.cache_clear()
