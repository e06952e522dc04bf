"""Scenarios in a report: columns, ratios on the same clips, skill, and every format."""

from pathlib import Path

import numpy as np
import pytest

from stbench.report.analysis.intervals import interval_of
from stbench.report.analysis.resampling import mean_of_one
from stbench.report.analysis.scenarios import ScenarioRow, scenario_tables
from stbench.report.analysis.section import make_report
from stbench.report.analysis.stretches import Scored
from stbench.report.analysis.table import make_tables
from stbench.report.collect.records import Collected, RunRecord
from stbench.report.produce import Format, produce
from stbench.report.writers.scenarios import scenario_sheets, scenarios_csv
from tests.report.runs import T_OUT, make_run, make_spec, noisy, put_scenario

NAME = "corrupt:gauss=0.5"


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    rng = np.random.default_rng(0)
    found = []
    for method, mean in (("alpha", 10.0), ("still", 40.0)):
        clean = noisy(rng, mean)
        trained = method == "alpha"
        spec = make_spec(method) if trained else make_spec(method, training=None)
        record = make_run(tmp_path, spec, clean, parameters=12 if trained else 0)
        put_scenario(record, NAME, [clean, 1.5 * clean])
        put_scenario(record, "rollout:horizon=8", [np.linspace(1, 8, 8) * noisy(rng, mean)[:, :1]], horizon=8)
        found.append(RunRecord(record.folder, record.spec, record.result))
    return found


def test_ratios_are_paired_and_skill_is_against_the_baseline(records: list[RunRecord]) -> None:
    (table,) = make_tables(records)
    found = {scenario.name: scenario for scenario in scenario_tables(table)}
    alpha, still = found[NAME].rows
    clean = records[0].result.test["mse_frame"].total
    assert alpha.scores[0].centre == pytest.approx(clean)
    assert alpha.scores[0].low is not None
    assert alpha.scores[0].low < clean
    ratio = alpha.ratios[1]
    assert ratio.centre == pytest.approx(1.5)
    assert ratio.low == pytest.approx(1.5, abs=1e-6)  # the clips' noise is shared: nothing is uncertain
    assert found[NAME].skills["alpha"] == pytest.approx(1 - alpha.scores[1].centre / still.scores[1].centre)


def test_a_case_of_fewer_clips_is_drawn_by_its_own_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    all_NT, some_NT = noisy(rng, 10.0, count=400), noisy(rng, 10.0, count=100)
    record = make_run(tmp_path, make_spec("still", training=None), all_NT)
    put_scenario(record, "slice:hours=7-9", [all_NT, some_NT], overlap=4)

    def row() -> ScenarioRow:
        (table,) = make_tables([RunRecord(record.folder, record.spec, record.result)])
        return next(scenario.rows[0] for scenario in scenario_tables(table))

    expected = interval_of(some_NT.mean(axis=1)[None, None], mean_of_one, False, Scored(100, 4))
    assert row().scores[1].low == pytest.approx(expected.low)
    assert np.isnan(row().ratios[1].centre)
    monkeypatch.setattr("stbench.schema.sequences.BLOCKS", 50)  # as many blocks of both, which nothing pairs
    assert np.isnan(row().ratios[1].centre)
    assert row().ratios[0].centre == 1


def test_a_rollout_is_shown_in_blocks_of_the_trained_horizon(records: list[RunRecord]) -> None:
    (table,) = make_tables(records)
    rollout = next(scenario for scenario in scenario_tables(table) if scenario.is_rollout)
    assert [column.label for column in rollout.columns] == ["1–3", "4–6", "7–8"]
    ratios = [ratio.centre for ratio in rollout.rows[0].ratios]
    assert ratios == pytest.approx([1, 5 / 2, 7.5 / 2])
    assert len(rollout.lead_times["alpha"].centre) == 8
    for score in rollout.rows[0].scores:  # of values beyond the run's own horizon too
        assert score.low is not None
        assert score.low < score.centre


def test_every_format_shows_them(records: list[RunRecord], tmp_path: Path) -> None:
    (table,) = make_tables(records)
    sheets = scenario_sheets(table)
    assert [sheet.title for sheet in sheets] == [f"{NAME}, mse_frame ↓", "rollout:horizon=8, mse_frame ↓"]
    assert all(len(row) == len(sheet.headings) for sheet in sheets for row in sheet.rows)
    lines = scenarios_csv([table]).splitlines()
    assert len(lines) == 1 + 2 * (2 * (1 + T_OUT) + 1 + 8)
    report = make_report(Collected(tuple(records), {}), count_parameters=False)
    written = produce(report, tmp_path / "out", [Format.MD, Format.CSV, Format.LATEX, Format.HTML])
    for path in written:
        if path.name in {"report.md", "table.tex", "report.html", "scenarios.csv"}:
            assert "rollout:horizon=8" in path.read_text()


def test_figures(records: list[RunRecord], tmp_path: Path) -> None:
    from stbench.report.figures.scenarios import draw_scenarios

    (table,) = make_tables(records)
    written = draw_scenarios(table, tmp_path / "toy")
    assert len([path for path in written if path.suffix == ".png"]) == 2
    assert len(written[1].read_text().splitlines()) == 1 + 2 * 2
    assert len(written[3].read_text().splitlines()) == 1 + 2 * 8


def test_reports_without_scenarios_have_none(tmp_path: Path) -> None:
    record = make_run(tmp_path, make_spec(), noisy(np.random.default_rng(0), 3.0))
    (table,) = make_tables([record])
    assert scenario_tables(table) == []
    assert scenario_sheets(table) == []
