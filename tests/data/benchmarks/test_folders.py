"""Where data is looked for."""

import os
from pathlib import Path

from stbench.data.benchmarks.folders import data_dirs, find_files, missing_files_error, note_missing
from stbench.data.dataset import Source
from stbench.data.readers.traffic.flow_grid import FlowGridOptions
from stbench.schema import DatasetSpec

FLOW = {"slots_per_day": 24, "first_slot": 0, "split": {"kind": "last_windows", "test": 9}}
FILMS = {"split": {"kind": "fraction"}}


def test_order_of_precedence(monkeypatch, tmp_path):
    monkeypatch.setenv("STBENCH_DATA", f"{tmp_path}{os.pathsep}~/flows")
    assert data_dirs(Path("here")) == (Path("here"),)
    assert data_dirs() == (tmp_path, Path.home() / "flows")
    monkeypatch.setenv("STBENCH_DATA", "")
    assert data_dirs() == data_dirs(None)
    assert data_dirs()[0].name == "stbench"


def test_files_must_be_together(tmp_path):
    dirs = tmp_path / "one", tmp_path / "two"
    for path in (dirs[0] / "a", dirs[1] / "a", dirs[1] / "b"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_files("toy", dirs, ["a", "b"]) == [dirs[1] / "a", dirs[1] / "b"]
    assert find_files("toy", dirs, ["a", "c"]) is None
    (dirs[0] / "toy").mkdir()
    (dirs[0] / "toy" / "a").touch()
    assert find_files("toy", dirs, ["a"]) == [dirs[0] / "toy" / "a"]


def test_message_says_what_where_and_how(tmp_path):
    (tmp_path / "a").touch()
    error = missing_files_error(
        "toy",
        (tmp_path,),
        FlowGridOptions(files=("a", "b"), prepared="c", source=Source(text="ask", url="http://x"), **FLOW),
    )
    lines = str(error).splitlines()
    assert lines[0] == "The files of toy are missing: b; or c."
    assert lines[1] == f"Looked in: {tmp_path / 'toy'}, {tmp_path}."
    assert lines[2] == "Get them: ask http://x"
    assert lines[3] == f"Put them in {tmp_path / 'toy'}, or name their folder with --data-dir or $STBENCH_DATA."
    assert lines[4].startswith("No files are needed for: moving_digits")


def note(tmp_path, reader, options, name="toy"):
    return note_missing(name, DatasetSpec(reader=reader, options=options), [tmp_path])


def test_a_plan_notes_missing_files(tmp_path):
    options = {"files": ["a.h5", "b.h5", "c.h5"], "prepared": "all.npz", "folders": ["Toy"], **FLOW}
    said = note(tmp_path, "flow_grid", options)
    assert "a.h5, b.h5 and 1 more in none of" in said
    assert f"{tmp_path / 'Toy'}" in said
    assert said.endswith(f"stbench data get toy --from FOLDER --data-dir {tmp_path}")
    (tmp_path / "Toy").mkdir()
    for name in ("a.h5", "b.h5"):
        (tmp_path / "Toy" / name).touch()
    assert note(tmp_path, "flow_grid", options)
    (tmp_path / "Toy" / "c.h5").touch()
    assert not note(tmp_path, "flow_grid", options)
    (tmp_path / "Toy" / "c.h5").unlink()
    (tmp_path / "all.npz").touch()
    assert not note(tmp_path, "flow_grid", options)


def test_a_plan_notes_patterns_that_match_nothing(tmp_path):
    films = {"files": ["**/*.avi"], **FILMS}
    assert note(tmp_path, "recorded", films)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.avi").touch()
    assert not note(tmp_path, "recorded", films)


def test_nothing_is_noted_where_no_file_is_looked_for(tmp_path):
    assert not note(tmp_path, "moving_images", {"glyphs": "digits"})
    assert not note(tmp_path, "recorded", {"files": ["x.npy"], "path": "/some/where", **FILMS}, "own")
