"""``stbench report`` from run folders alone: every format, published rows, audits, optimism, what was left out."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from typer.testing import CliRunner

from stbench.cli.app import app
from stbench.errors import UserError
from stbench.report.analysis.lead_time import reference_row, series, skill
from stbench.report.analysis.section import make_report
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import collect
from stbench.report.encode import latex
from stbench.report.produce import Format, produce
from stbench.schema import Failure
from tests.report.runs import make_run, make_spec, noisy, write_samples

TAXIBJ = {"benchmark": "taxibj", "plugin": "tau"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods on three seeds, an untrained baseline, and a failed method with a name that needs escaping."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    for method, mean in (("alpha", 1.0), ("beta", 2.0)):
        for seed in range(3):
            costs = {"seconds_per_epoch": mean, "train_seconds": 200.0, "macs": int(mean * 3e8)}
            record = make_run(root, make_spec(method, seed), noisy(rng, mean), **costs)
            history = [
                {
                    "epoch": e,
                    "train_seconds": 2.0,
                    "macs": 5e9 * (e + 1),
                    "val_mse_frame": mean * (3 - e),
                    "train_loss": 1.0,
                }
                for e in range(2)
            ]
            record.folder.write_history(history)
            write_samples(record.folder)
    still = make_run(root, make_spec("still", training=None), noisy(rng, 4.0), parameters=0, seconds_per_epoch=None)
    write_samples(still.folder)
    make_run(root, make_spec("a_b & 50%"), failure=Failure(kind="crashed", reason="out of {braces} ^ ~ \\ #1 $x"))
    return root


def test_all_formats_are_written(runs: Path, tmp_path: Path) -> None:
    written = produce(make_report(collect([runs])), tmp_path, list(Format))
    assert {path.name for path in written} >= {"report.md", "runs.csv", "summary.csv", "table.tex", "report.tex"}
    assert all(path.stat().st_size > 0 for path in written)
    pictures = [path for path in written if path.suffix == ".png"]
    kinds = {path.stem.split("-", 3)[-1] for path in pictures}
    assert kinds == {"cost", "lead-time", "curves", "clip0", "clip1"}
    for path in pictures:
        assert path.with_suffix(".csv").is_file()
        assert len(np.unique(np.asarray(Image.open(path).convert("L")))) > 10
    (animation,) = (path for path in written if path.suffix == ".gif")
    assert Image.open(animation).n_frames == 2 + 3
    for picture in pictures:
        assert f"(figures/{picture.name})" in (tmp_path / "report.md").read_text()


def test_markdown_renders_as_tables_and_links(runs: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "more", make_spec("tau|x", **TAXIBJ), np.full((4, 3), 1.0))
    produce(make_report(collect([runs, tmp_path / "more"]), count_parameters=False), tmp_path, [Format.MD])
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render((tmp_path / "report.md").read_text())
    assert page.count("<table>") == 3  # two measured, one published
    for table in page.split("<table>")[1:]:
        body = table.partition("</table>")[0]
        widths = {line.count("<th") + line.count("<td") for line in body.split("<tr>")[1:]}
        assert len(widths) == 1
    for target in re.findall(r'href="([^"#]+)"', page):
        assert (tmp_path / target).is_dir()
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors
    assert anchors <= set(re.findall(r'<a id="([^"]+)"', page))


def test_figures_state_what_they_show(runs: Path, tmp_path: Path) -> None:
    produce(make_report(collect([runs])), tmp_path, [Format.PNG])
    (table,) = make_tables(collect([runs]).records)
    lines = list(csv.DictReader((tmp_path / "figures" / "1-toy-paper-lead-time.csv").open()))
    alpha = [line for line in lines if line["row"] == "alpha"]
    row = next(row for row in table.rows if row.label == "alpha")
    expected = np.mean([r.result.test["mse_frame"].lead_times for r in row.runs], axis=0)
    np.testing.assert_allclose([float(line["mean"]) for line in alpha], expected)
    assert all(float(line["low"]) < float(line["mean"]) < float(line["high"]) for line in alpha)
    curves = list(csv.DictReader((tmp_path / "figures" / "1-toy-paper-curves.csv").open()))
    assert [float(c["train_seconds"]) for c in curves if c["row"] == "alpha" and c["seed"] == "0"] == [2.0, 4.0]
    assert [float(c["train_macs"]) for c in curves if c["row"] == "beta" and c["seed"] == "1"] == [5e9, 10e9]
    costs = list(csv.DictReader((tmp_path / "figures" / "1-toy-paper-cost.csv").open()))
    assert {c["row"]: c["macs"] for c in costs} == {"alpha": "300000000", "beta": "600000000", "still": ""}


def test_skill_is_one_minus_the_ratio_to_the_untrained_row(runs: Path) -> None:
    (table,) = make_tables(collect([runs]).records)
    reference = reference_row(table)
    assert reference is not None
    assert reference.label == "still"
    row = next(row for row in table.rows if row.label == "alpha")
    own, other = series(row, "mse_frame"), series(reference, "mse_frame")
    assert own is not None
    assert other is not None
    np.testing.assert_allclose(skill(row, reference, "mse_frame"), 1 - own.centre / other.centre)
    assert skill(row, reference, "psnr") is None


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(runs: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    other = tmp_path / "more"
    make_run(other, make_spec("tau", **TAXIBJ), noisy(rng, 1.0))
    out = tmp_path / "out"
    produce(make_report(collect([runs, other]), count_parameters=False), out, [Format.LATEX])
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=out,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    text = (out / "table.tex").read_text()
    assert r"\toprule" in text
    assert r"\textbf{" in text
    assert r"out of \{braces\}" in text


def test_perfect_and_undefined_scores_break_nothing(tmp_path: Path) -> None:
    """A perfect prediction has an infinite PSNR; a NaN must not rank."""
    errors = np.full((4, 3), 2.0)
    for seed in range(2):
        make_run(tmp_path / "runs", make_spec("perfect", seed), np.zeros((4, 3)))
        make_run(tmp_path / "runs", make_spec("undefined", seed), errors * np.nan)
        make_run(tmp_path / "runs", make_spec("usual", seed), errors)
    report = make_report(collect([tmp_path / "runs"]))
    produce(report, tmp_path, list(Format))
    ranks = {row.label: row.standings.get("psnr") for row in report.tables[0].rows}
    assert ranks["perfect"] is not None
    assert ranks["perfect"].rank == 1
    assert ranks["undefined"] is None
    assert "[**inf**]" in (tmp_path / "report.md").read_text()


def test_escape_leaves_no_special_character() -> None:
    assert latex("a_b & 5% ≈ é") == r"a\_b \& 5\% $\approx$ ?"


def test_published_rows_stand_apart_from_the_means(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    alone = make_run(tmp_path / "runs", make_spec("tau", **TAXIBJ), noisy(rng, 5.0))
    report = make_report(collect([tmp_path / "runs"]), count_parameters=False)
    (section,) = report.sections
    assert section.table.rows[0].cells["mse_frame"].mean == alone.result.test["mse_frame"].total
    assert {row.plugin for row in section.published} == {"tau"}
    produce(report, tmp_path, [Format.MD, Format.CSV])
    text = (tmp_path / "report.md").read_text()
    assert "not measured here" in text
    assert "| TAU | OpenSTL STL | 50 epoch | 0.3108 |" in text
    assert "OpenSTL@c74deb5" in text
    kinds = {line["kind"] for line in csv.DictReader((tmp_path / "summary.csv").open())}
    assert kinds == {"measured", "published"}


def test_measured_rows_are_audited(tmp_path: Path) -> None:
    errors = np.full((4, 3), 2.0)
    record = make_run(tmp_path, make_spec("tau", config={"encoder": "paper"}), errors, parameters=7)
    make_run(tmp_path, make_spec("copy"), errors)
    (section,) = make_report(collect([tmp_path])).sections
    texts = [str(finding) for finding in section.findings]
    assert "tau seed 0, suspect: every metric equals that of copy seed 0" in texts
    assert any(text.startswith("tau seed 0, contradiction") and "the configuration has" in text for text in texts)
    assert record.result.parameters == 7


def test_legacy_prints_its_optimism(tmp_path: Path) -> None:
    legacy = make_spec("alpha", protocol="legacy", selection="test")
    make_run(tmp_path, legacy, np.full((4, 3), 2.0), optimism={"mse_frame": -0.25, "psnr": 0.5})
    make_run(tmp_path, make_spec("alpha"), np.full((4, 3), 2.5))
    make_run(tmp_path, make_spec("alpha", protocol="quick", config={"width": 9}), np.full((4, 3), 9.0))
    sections = make_report(collect([tmp_path]), count_parameters=False).sections
    (lines,) = (section.optimism for section in sections if section.table.spec.selection == "test")
    assert lines[0] == (
        "alpha, mse_frame: selected minus last epoch −0.2500 (n = 1); legacy minus honest −0.5000 (n = 1 and 1)"
    )
    assert all(not section.optimism for section in sections if section.table.spec.selection != "test")


def test_the_command_states_what_it_left_out(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    done = CliRunner().invoke(
        app, ["report", str(runs), str(tmp_path), "--format", "csv", "--out", str(tmp_path / "o")]
    )
    assert done.exit_code == 0, done.output
    assert "holiday: not a run folder" in done.output
    assert (tmp_path / "o" / "runs.csv").is_file()


def test_a_report_uses_only_what_is_whole(tmp_path: Path) -> None:
    """Finished, failed, half-written, torn and foreign folders together: the numbers are those of the whole ones."""
    root, rng = tmp_path / "runs", np.random.default_rng(3)
    for seed in range(2):
        make_run(root, make_spec("alpha", seed), noisy(rng, 1.0))
        make_run(root, make_spec("beta", seed), noisy(rng, 2.0))
    make_run(root, make_spec("gamma"), failure=Failure(kind="diverged", reason="loss is NaN"))
    alone = make_report(collect([root]), count_parameters=False)
    half = make_run(root, make_spec("alpha", 2), noisy(rng, 50.0)).folder
    half.file("result.json").rename(half.file(".result.json.tmp"))
    torn = make_run(root, make_spec("alpha", 3), noisy(rng, 50.0)).folder
    torn.file("result.json").write_text(torn.file("result.json").read_text()[:200])
    (root / "holiday").mkdir()
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["report", str(root), "--format", "md,csv,latex,html,png", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"left out {half.path}: not finished" in done.output
    assert f"left out {torn.path}: " in done.output
    assert "holiday: not a run folder" in done.output
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for said in ("holiday", half.path.name, torn.path.name):
        assert said in page
        assert said in text
    assert "gamma: seed 0 diverged: loss is NaN." in text
    lines = list(csv.DictReader((out / "summary.csv").open()))
    means = {line["row"]: line["mean"] for line in lines if line["metric"] == "mse_frame"}
    assert means == {row.label: repr(row.cells["mse_frame"].mean) if row.cells else "" for row in alone.tables[0].rows}


def test_mistakes_are_named(runs: Path, tmp_path: Path) -> None:
    wrong = CliRunner().invoke(app, ["report", str(runs), "--format", "htm"])
    assert isinstance(wrong.exception, UserError)
    assert "Unknown format 'htm'" in str(wrong.exception)
    empty = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(empty.exception, UserError)
    assert "No complete run" in str(empty.exception)
