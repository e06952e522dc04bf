"""Skill columns: 1 − score / baseline's score, its paired interval, and the same number in every format."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from stbench.report.analysis.section import Report, make_report
from stbench.report.analysis.skill import skill_columns
from stbench.report.collect.records import collect
from stbench.report.writers.cells import footnotes
from stbench.report.writers.csv import summary_csv
from stbench.report.writers.html import to_html
from stbench.report.writers.latex import to_latex
from stbench.report.writers.markdown import to_markdown
from tests.report.runs import make_run, make_spec

COUNT, LEADS = 60, 3


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Hard and easy clips: every method's error is a share of the same difficulty, plus noise of its own."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    difficulty = rng.gamma(2.0, 1.0, (COUNT, 1)) * np.linspace(0.5, 1.5, LEADS)
    untrained = {"training": None}
    make_run(root, make_spec("persistence", **untrained), 4 * difficulty, parameters=0)
    make_run(root, make_spec("climatology", **untrained), 8 * difficulty, parameters=0)
    for seed in range(3):
        noise = rng.uniform(0.95, 1.05, (COUNT, 1))
        make_run(root, make_spec("alpha", seed), (1 + 0.01 * seed) * difficulty * noise)
    return make_report(collect([root]), count_parameters=False)


def test_skill_is_one_minus_the_ratio_of_scores(report: Report) -> None:
    (table,) = report.tables
    columns = skill_columns(table)
    assert [column.key for column in columns] == ["skill_mse_persistence", "skill_mse_climatology"]
    rows = {row.label: row for row in table.rows}
    totals = {name: [record.result.test["mse_frame"].total for record in row.runs] for name, row in rows.items()}
    for column, baseline in zip(columns, ("persistence", "climatology"), strict=True):
        expected = [1 - total / totals[baseline][0] for total in totals["alpha"]]
        cell = column.cell(rows["alpha"])
        assert cell is not None
        assert (cell.mean, cell.std, cell.n) == (
            pytest.approx(np.mean(expected)),
            pytest.approx(np.std(expected, ddof=1)),
            3,
        )
        assert column.number(rows[baseline]) == 0
    assert columns[0].number(rows["climatology"]) == pytest.approx(-1)


def test_the_interval_is_paired(report: Report) -> None:
    """Clips differ tenfold in difficulty, which both rows share: the ratio is known to a few per cent."""
    (table,) = report.tables
    column = skill_columns(table)[0]
    rows = {row.label: row for row in table.rows}
    found = column.interval(rows["alpha"])
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.centre < found.high
    assert found.high - found.low < 0.05
    exact = column.interval(rows["climatology"])  # twice the error everywhere: no doubt
    assert (exact.low, exact.high) == (pytest.approx(-1), pytest.approx(-1))
    assert column.interval(rows["persistence"]).low is None


def test_every_format_shows_it(report: Report, tmp_path: Path) -> None:
    (table,) = report.tables
    column = skill_columns(table)[0]
    row = next(row for row in table.rows if row.label == "alpha")
    text = column.text(row)
    assert text.count(",") == 1
    for written in (to_markdown(report, tmp_path), to_html(report, tmp_path)):
        assert text in written.replace("\\[", "[").replace("\\]", "]")
        assert "skill_mse_persistence" in written.replace("\\_", "_")
    assert r"skill\_mse\_climatology" in to_latex(report, tmp_path)
    lines = list(csv.DictReader(io.StringIO(summary_csv(report.sections))))
    (line,) = [one for one in lines if (one["row"], one["metric"]) == ("alpha", "skill_mse_persistence")]
    found = column.interval(row)
    assert line["kind"] == "skill"
    assert float(line["mean"]) == pytest.approx(column.number(row))
    assert (float(line["low"]), float(line["high"])) == (pytest.approx(found.low), pytest.approx(found.high))
    assert any(note.startswith("Skill: 1 − mse_frame / mse_frame of the baseline") for note in footnotes(table))


def test_a_table_without_a_baseline_has_no_such_column(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path, make_spec("alpha", seed), np.full((5, LEADS), 2.0))
    (table,) = make_report(collect([tmp_path]), count_parameters=False).tables
    assert skill_columns(table) == []
