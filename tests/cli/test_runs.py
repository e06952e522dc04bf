"""``stbench runs``: what is listed, and that nothing in use, and nothing behind a link, is ever removed."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stbench.cli.runs import app
from stbench.errors import UserError
from stbench.schema import Failure
from stbench.schema.folder import RunFolder
from stbench.sweep import clean
from stbench.sweep.inventory import differences, find_run, inventory
from tests.report.runs import make_run, make_spec


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished, a failed and an unfinished run, an old hidden folder, a damaged run and a link to a run elsewhere."""
    root = tmp_path / "out" / "runs"
    finished = make_run(root, make_spec("alpha"), [[1.0, 2.0, 3.0]]).folder
    finished.add_labels("table", ["thesis"])
    failed = make_run(root, make_spec("beta", 1), failure=Failure(kind="diverged", reason="NaN")).folder
    unfinished = RunFolder(root / make_spec("alpha:wide", 2).folder)
    unfinished.create(make_spec("alpha:wide", 2))
    for folder in (finished, failed, unfinished):
        folder.file("checkpoints/last.pt").write_bytes(b"x" * 1000)
        folder.file("checkpoints/best.safetensors").write_bytes(b"x" * 10)
    (root / f".{finished.path.name}.0123abcd").mkdir()
    (root / f".{finished.path.name}.0123abcd" / "result.json").write_text("old")
    (root / ".mine").mkdir()
    (root / "damaged").mkdir()
    (root / "damaged" / "spec.yaml").write_text("a: [")
    elsewhere = make_run(tmp_path / "elsewhere", make_spec("gamma"), [[1.0, 1.0, 1.0]]).folder
    elsewhere.file("checkpoints/last.pt").write_bytes(b"x")
    (root / elsewhere.path.name).symlink_to(elsewhere.path)
    (finished.checkpoints / "outside").symlink_to(elsewhere.checkpoints)
    return tmp_path / "out"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def listed(out: Path, *filters: str) -> list[tuple[str, str]]:
    done = call("list", "--out", str(out), "--json", *filters)
    assert done.exit_code == 0, done.output
    return [(entry["method"], entry["state"]) for entry in json.loads(done.output)]


def test_list_shows_state_and_filters(out: Path) -> None:
    everything = [("alpha:wide", "unfinished"), ("alpha", "finished"), ("beta", "failed"), (None, "unreadable")]
    assert sorted(listed(out), key=str) == sorted(everything, key=str)
    assert listed(out, "--method", "alpha:wide") == [("alpha:wide", "unfinished")]
    assert {method for method, _ in listed(out, "--method", "alpha")} == {"alpha", "alpha:wide"}
    assert listed(out, "--tag", "thesis") == listed(out, "--name", "table") == [("alpha", "finished")]
    assert listed(out, "--state", "failed", "--state", "unreadable") == [(None, "unreadable"), ("beta", "failed")]
    assert listed(out, "--dataset", "other") == []
    with pytest.raises(UserError, match="Did you mean 'finished'"):
        inventory(out, clean_filter("finishd"))


def clean_filter(state: str):
    from stbench.sweep.inventory import Filter

    return Filter(states=(state,))


def test_sizes_count_every_file_once_and_no_link(out: Path) -> None:
    (entry,) = (entry for entry in inventory(out) if entry.state == "finished")
    files = [Path(folder) / name for folder, _, names in os.walk(entry.path) for name in names]
    assert entry.size == sum(file.lstat().st_size for file in files)
    assert entry.as_dict()["scores"]["mse_frame"] == 2.0


def test_show_and_diff(out: Path) -> None:
    spec = make_spec("alpha")
    shown = json.loads(call("show", spec.run_id[:6], "--out", str(out), "--json").output)
    assert shown["spec"]["config"] == {"width": 4}
    assert shown["spec"]["origins"]["config.width"] == "--set"
    found = json.loads(call("diff", spec.folder, make_spec("beta", 1).run_id, "--out", str(out), "--json").output)
    assert found["method"] == ["alpha", "beta"]
    assert found["seed"] == [0, 1]
    assert found["test.mse_frame"] == [2.0, None]
    assert "config.width" not in found
    assert differences(spec, spec) == {}
    with pytest.raises(UserError, match="Unknown run 'nothing'"):
        find_run("nothing", out)
    with pytest.raises(UserError, match="beginning of several"):
        find_run("toy-paper", out)


def paths(root: Path) -> set[Path]:
    return {Path(folder) / name for folder, inner, files in os.walk(root) for name in [*inner, *files]}


def test_clean_removes_what_it_showed_and_nothing_else(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = out / "runs"
    monkeypatch.setattr(clean, "cache_dir", lambda: out / "cache")
    before = paths(out.parent)
    asked = call("clean", "--out", str(out))
    assert isinstance(asked.exception, UserError)  # nobody can be asked
    assert "last.pt" in asked.output
    assert paths(out.parent) == before
    assert call("clean", "--out", str(out), "--yes").exit_code == 0
    finished = runs / make_spec("alpha").folder
    old = runs / f".{finished.name}.0123abcd"
    assert before - paths(out.parent) == {finished / "checkpoints" / "last.pt", old, old / "result.json"}
    assert call("clean", "--out", str(out), "--yes").output == "Nothing to remove.\n"


def test_clean_leaves_runs_and_caches_in_use(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setattr(clean, "cache_dir", lambda: out / "cache")
    for name in ("used", "unused", "filling.partial"):
        (out / "cache" / name).mkdir(parents=True)
        np.zeros(4096, np.uint8).tofile(out / "cache" / name / "frames.bin")
    mapped = np.memmap(out / "cache" / "used" / "frames.bin", np.uint8, "r")
    with RunFolder(out / "runs" / make_spec("alpha").folder).locked() as mine:
        assert mine
        waste = clean.find_waste(out, ["resume", "cache"])
        assert [one.path.name for one in waste] == ["unused"]
    assert mapped[0] == 0
    waste = clean.find_waste(out, ["resume"])
    with RunFolder(out / "runs" / make_spec("alpha").folder).locked():
        assert clean.remove_waste(waste) == []
    assert clean.remove_waste(waste) == waste


def test_rm(out: Path) -> None:
    finished, link = out / "runs" / make_spec("alpha").folder, out / "runs" / make_spec("gamma").folder
    elsewhere = paths(out.parent / "elsewhere")
    with RunFolder(finished).locked():
        assert "in use, stays" in call("rm", finished.name, "--out", str(out), "--yes").output
    assert finished.is_dir()
    assert isinstance(call("rm", finished.name, "--out", str(out)).exception, UserError)
    assert call("rm", "--tag", "thesis", "--out", str(out), "--yes").exit_code == 0
    assert not finished.exists()
    assert isinstance(call("rm", str(link), "--out", str(out), "--yes").exception, UserError)
    assert isinstance(call("rm", "--out", str(out), "--yes").exception, UserError)
    assert paths(out.parent / "elsewhere") == elsewhere
    assert (out / "runs" / make_spec("beta", 1).folder).is_dir()
