"""Run folders: atomic writes, locks, and messages about damaged ones."""

import json
import math
import os
from pathlib import Path

import pytest

from stbench.errors import MachineError, UserError
from stbench.schema import RunResult, RunSpec, Score
from stbench.schema.folder import RunFolder, write_text, write_with
from stbench.sweep.plan import Request, make_plan


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return make_plan(Request(methods=["persistence"], benchmark="moving_digits", protocol="quick")).specs[0]


def test_write_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def dies(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(target, dies)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_result_edited_by_hand_is_refused(tmp_path: Path, spec: RunSpec) -> None:
    """Also at its last digit; a result of 0.1.0, which has no checksum, and one with later fields are read."""
    folder = RunFolder(tmp_path)
    folder.write_result(
        RunResult(
            run_id=spec.run_id, method="persistence", benchmark="moving_digits", protocol="quick", seed=0,
            status="finished", test={"mse_frame": Score(total=0.1, lead_times=(0.1, math.nan))}, padded_to=(8, 8),
        )
    )  # fmt: skip
    assert folder.result().test["mse_frame"].total == 0.1
    text = folder.file("result.json").read_text()
    folder.file("result.json").write_text(text.replace('"total": 0.1', '"total": 0.10000000000000002'))
    with pytest.raises(UserError, match=r"result\.json was changed after the run wrote it.*delete it"):
        folder.result()
    old = {name: value for name, value in json.loads(text).items() if name not in ("checksum", "padded_to")}
    folder.file("result.json").write_text(json.dumps(old))
    assert folder.result().padded_to is None


@pytest.mark.parametrize("kept", [100, 333, 777])
def test_a_torn_spec_is_one_line(kept: int, tmp_path: Path, spec: RunSpec) -> None:
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    file = folder.file("spec.yaml")
    file.write_text(file.read_text()[:kept])
    with pytest.raises(UserError, match=r"spec\.yaml") as raised:
        folder.spec()
    assert "\n" not in str(raised.value)
    file.write_text("method: [persistence\nconfig: }")
    with pytest.raises(UserError, match=r"spec\.yaml cannot be read: .*\(line 2\)\. Repair it") as raised:
        folder.spec()
    assert "\n" not in str(raised.value)


def test_round_trip(tmp_path: Path, spec: RunSpec) -> None:
    folder = RunFolder(tmp_path / spec.folder)
    folder.create(spec)
    assert folder.spec() == spec
    assert folder.spec().run_id == spec.run_id
    assert not folder.is_complete
    assert folder.history() == []
    assert folder.environment() == {}
    result = RunResult(run_id=spec.run_id, method="m", benchmark="b", protocol="p", seed=0, status="finished")
    folder.write_history([{"epoch": 0, "loss": 1.5}, {"epoch": 1, "loss": 1.25}])
    folder.write_environment({"device": "x"})
    folder.write_result(result)
    assert folder.is_complete
    assert folder.result() == result
    assert [record["loss"] for record in folder.history()] == [1.5, 1.25]
    assert folder.environment() == {"device": "x"}


def test_a_resume_on_another_machine_keeps_the_first_one(tmp_path: Path, spec: RunSpec) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(spec)
    for device in ("one", "one", "two", "two", "three"):
        folder.write_environment({"device": device})
    assert folder.environment() == {"device": "three", "earlier": [{"device": "one"}, {"device": "two"}]}
    folder.file("environment.json").write_text("{ half")
    folder.write_environment({"device": "four"})
    assert folder.environment() == {"device": "four"}
    assert folder.file("environment.json.damaged").is_file()


def test_orphans_of_a_kill_are_swept_away(tmp_path: Path, spec: RunSpec) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(spec)
    orphan = folder.checkpoints / ".last.pt.abcd.tmp"
    orphan.write_text("half")
    folder.create(spec)
    assert not orphan.exists()


def test_one_holder_at_a_time(tmp_path: Path, spec: RunSpec) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(spec)
    with folder.locked() as first, folder.locked() as second:
        assert (first, second) == (True, False)
    with folder.locked() as again:
        assert again


@pytest.mark.parametrize("name", ["spec.yaml", "result.json"])
def test_damage_is_named(tmp_path: Path, spec: RunSpec, name: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(spec)
    folder.file(name).write_text("{ : not")
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        folder.spec() if name == "spec.yaml" else folder.result()
    folder.file(name).write_text("{}")
    with pytest.raises(UserError, match="is missing"):
        folder.spec() if name == "spec.yaml" else folder.result()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_folder(tmp_path: Path, spec: RunSpec) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Cannot write the run folder"):
        RunFolder(tmp_path / "run").create(spec)


def test_full_disk_while_creating(tmp_path: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MachineError, match="No space left on device"):
        RunFolder(tmp_path / "run").create(spec)
