"""The commands as functions: the same run ids as the command line, frames, a notebook's table, and errors."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import stbench
from stbench import api
from stbench.errors import UserError
from stbench.schema.folder import RunFolder
from stbench.sweep.plan import Request, make_plan
from tests.report.runs import make_run, make_spec

SMALL = {
    "dataset": {"train_clips": 8, "test_clips": 4},
    "evaluation": {"val_clips": 4},
    "convlstm": {"hidden": [2]},
    "epochs": 1,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> api.Results:
    out = tmp_path_factory.mktemp("api")
    return stbench.run("convlstm", "moving_digits", protocol="quick", settings=SMALL, out=out, tags=["x"], quiet=True)


def test_run_returns_records_and_frames(results: api.Results) -> None:
    assert [record.spec.method for record in results.records] == ["persistence", "climatology", "convlstm"]
    assert results.table.loc[("moving_digits", "quick", "convlstm"), "mse_frame"] == pytest.approx(
        results.records[-1].result.test["mse_frame"].total
    )
    assert set(results.runs["method"]) == {"persistence", "climatology", "convlstm"}
    assert isinstance(results.summary, pd.DataFrame)
    folder: RunFolder = results.records[-1].folder
    assert folder.labels()["tags"] == ["x"]
    log = "".join(path.read_text() for path in (folder.path.parents[1] / "logs").iterdir())
    assert f"{folder.path.name}: finished" in log
    assert "val_mse_frame" in log


def test_the_run_is_that_of_the_command(results: api.Results) -> None:
    sets = [("dataset.train_clips", "8"), ("dataset.test_clips", "4"), ("evaluation.val_clips", "4")]
    sets += [("convlstm.hidden", "[2]"), ("epochs", "1")]
    plan = make_plan(Request(["convlstm"], "moving_digits", "quick", overrides=sets))
    assert results.names == tuple(spec.folder for spec in plan.specs)


def test_a_notebook_shows_a_table_and_no_markup(tmp_path: Path) -> None:
    make_run(tmp_path, make_spec("alpha:<script>"), [[1.0, 2.0, 3.0]])
    found = stbench.table(tmp_path)
    html = found._repr_html_()
    assert "<table" in html
    assert "<script>" not in html
    assert "alpha:<script>" in repr(found)


def test_report_writes_what_is_asked(results: api.Results, tmp_path: Path) -> None:
    out = results.records[0].folder.path.parents[1]
    made = stbench.report(out, out=tmp_path / "r", formats=["md", "csv"])
    assert {path.name for path in made.files} == {"report.md", "runs.csv", "summary.csv"}
    assert len(made.records) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stbench.run("tua", "moving_digits"), "Did you mean 'tau'"),
        (lambda: stbench.run("tau", "moving_digit"), "Did you mean 'moving_digits'"),
        (lambda: stbench.run("tau", "moving_digits", epoch=3), "unknown key 'epoch'.*'epochs'"),
        (lambda: stbench.run("tau"), "'datasets' is missing"),
        (lambda: stbench.run("tau", "moving_digits", budget="1h", epochs=2), "both say how long"),
        (lambda: stbench.table("/nowhere/at/all"), "is not a folder"),
        (lambda: stbench.report("/nowhere", formats="pdf"), "Unknown format 'pdf'"),
        (lambda: stbench.profile("tau", "taxibj", bugdet=1), "Unknown setting of a profile 'bugdet'"),
    ],
)
def test_mistakes_are_user_errors(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()


@pytest.mark.slow
def test_the_api_is_listed_and_lazy() -> None:
    names = {"run", "table", "report", "profile"}
    assert names <= set(dir(stbench)) & set(stbench.__all__)
    code = (
        "import sys, stbench, stbench.report.numbers; assert not {'torch', 'pandas'} & set(sys.modules);"
        "import pydoc; text = pydoc.render_doc(stbench, renderer=pydoc.plaintext);"
        "assert all(name in text for name in ('run(', 'table('));"
        "assert callable(stbench.report)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
