"""Tables over seeds against numbers computed by hand."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from stbench.report.analysis.section import make_report
from stbench.report.analysis.table import make_tables, summarise
from stbench.report.collect.records import Collected, collect
from stbench.report.writers.cells import footnotes
from stbench.report.writers.csv import summary_csv, to_csv
from stbench.report.writers.markdown import table_markdown
from stbench.report.writers.terminal import to_rich
from stbench.schema import Failure
from tests.report.runs import make_run, make_spec, noisy


def constant(value: float) -> np.ndarray:
    return np.full((4, 3), value)


def test_mean_and_sample_deviation_over_seeds(tmp_path: Path) -> None:
    records = [make_run(tmp_path, make_spec("alpha", s), constant(v)) for s, v in enumerate((1.0, 2.0, 6.0))]
    (table,) = make_tables(records)
    (row,) = table.rows
    cell = row.cells["mse_frame"]
    assert (cell.mean, cell.n) == (3.0, 3)
    assert cell.std == pytest.approx(7**0.5)  # ((−2)² + (−1)² + 3²) / 2
    assert str(cell) == "3.000 ± 2.646"
    assert row.seeds == (0, 1, 2)


def test_best_and_second_follow_the_metric_s_direction(tmp_path: Path) -> None:
    records = [make_run(tmp_path, make_spec(m), constant(v)) for m, v in (("a", 3.0), ("b", 1.0), ("c", 2.0))]
    (table,) = make_tables(records)
    ranks = {row.label: {m: s.rank for m, s in row.standings.items()} for row in table.rows}
    assert ranks == {
        "a": {"mse_frame": 3, "psnr": 3},
        "b": {"mse_frame": 1, "psnr": 1},
        "c": {"mse_frame": 2, "psnr": 2},
    }
    lines = table_markdown(1, table, tmp_path).splitlines()
    assert sum("**1.000**" in line and line.startswith("| b") for line in lines) == 1
    assert sum("<u>2.000</u>" in line and line.startswith("| c") for line in lines) == 1


def test_failed_cells_keep_their_reason(tmp_path: Path) -> None:
    make_run(tmp_path, make_spec("alpha", 0), constant(2.0))
    make_run(tmp_path, make_spec("alpha", 1), failure=Failure(kind="diverged", reason="loss is NaN"))
    make_run(tmp_path, make_spec("beta", 0), failure=Failure(kind="out_of_memory", reason="8 GiB wanted"))
    (table,) = make_tables(collect([tmp_path]).records)
    alpha, beta = table.rows
    assert alpha.cells["mse_frame"].n == 1
    assert beta.cells == {}
    text = table_markdown(1, table, tmp_path)
    assert "alpha: seed 1 diverged: loss is NaN." in text
    assert "beta: seed 0 out_of_memory: 8 GiB wanted." in text
    line = next(line for line in text.splitlines() if line.startswith("| beta"))
    assert line.count("[failed]") == 2
    assert line.count("[–]") == 2  # no parameters and no time where nothing was trained


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [make_run(tmp_path, make_spec(m), noisy(rng, v)) for m, v in (("a", 1.0), ("b", 9.0))]
    (table,) = make_tables(records)
    assert table.rows[1].standings["mse_frame"].p is None
    standing = table.rows[1].standings["mse_frame"]
    assert standing.obstacle is not None
    assert (standing.obstacle.kind, standing.obstacle.text) == (
        "one_seed",
        "not tested: n = 1, so the variance between seeds is unknown",
    )
    assert any(note.startswith("n = 1: a single seed") for note in footnotes(table))
    text = table_markdown(1, table, tmp_path)
    assert "≈" not in text
    assert next(line for line in text.splitlines() if line.startswith("| b |")).count(" †]") == len(table.metrics)
    assert "† not tested against the best: n = 1, so the variance between seeds is unknown." in text


def test_clear_and_unclear_differences_are_marked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = []
    for method, mean in (("best", 1.0), ("twin", 1.01), ("far", 2.0)):
        records += [make_run(tmp_path, make_spec(method, s), noisy(rng, mean)) for s in range(3)]
    (table,) = make_tables(records)
    best, twin, far = (row.standings["mse_frame"] for row in table.rows)
    assert (best.rank, far.rank) == (1, 3) or (twin.rank, far.rank) == (1, 3)
    behind = twin if best.rank == 1 else best
    assert behind.tied
    assert not far.tied
    assert far.p is not None
    assert far.p < 0.05
    assert far.difference is not None
    assert far.difference.low > 0


def test_rows_on_other_sequences_are_not_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [make_run(tmp_path, make_spec("a", s), noisy(rng, 1.0)) for s in range(2)]
    records += [make_run(tmp_path, make_spec("b", s), noisy(rng, 2.0, count=30)) for s in range(2)]
    (table,) = make_tables(records)
    assert table.rows[1].standings["mse_frame"].reason == "not tested: scored on other test sequences than the best row"


def test_other_tasks_get_tables_of_their_own(tmp_path: Path) -> None:
    specs = [make_spec(), make_spec(protocol="quick"), make_spec(benchmark_version=2), make_spec(data_range=2.0)]
    records = [make_run(tmp_path, spec, constant(1.0)) for spec in specs]
    records.append(make_run(tmp_path, make_spec("beta"), constant(1.0), data_fingerprint="other data"))
    assert len(make_tables(records)) == 5


def test_rows_of_one_method_name_what_differs(tmp_path: Path) -> None:
    specs = [make_spec(), make_spec(config={"width": 8}), make_spec(encoder="shared")]
    (table,) = make_tables([make_run(tmp_path, spec, constant(1.0)) for spec in specs])
    assert [row.label for row in table.rows] == ["alpha [width=4]", "alpha [width=8]", "alpha (shared encoder)"]


def test_csv_is_tidy_and_deterministic(tmp_path: Path) -> None:
    make_run(tmp_path, make_spec("alpha", 0), constant(0.1))
    make_run(tmp_path, make_spec("beta, ltd", 0), failure=Failure(kind="crashed", reason='said "no", twice'))
    first, again = (to_csv(collect([tmp_path]).records) for _ in range(2))
    assert first == again
    rows = list(csv.DictReader(io.StringIO(first)))
    assert len(rows) == 4
    alpha = next(row for row in rows if row["method"] == "alpha" and row["metric"] == "mse_frame")
    assert float(alpha["value"]) == pytest.approx(0.1)
    assert alpha["run"] == make_spec("alpha", 0).folder
    failed = next(row for row in rows if row["method"] == "beta, ltd")
    assert (failed["value"], failed["status"]) == ("", "failed")
    assert failed["reason"] == 'crashed: said "no", twice'


def test_links_lead_to_runs_that_travel_with_the_report(tmp_path: Path) -> None:
    """Run folders beside the report's folder are named, without a link that dies when the report is moved."""
    records = [make_run(tmp_path / "machine" / "runs", make_spec("alpha", s), constant(1.0)) for s in range(2)]
    text = table_markdown(1, make_tables(records)[0], tmp_path)
    alone = table_markdown(1, make_tables(records)[0], tmp_path / "reports" / "today")
    for record in records:
        assert f"[{record.name}](machine/runs/{record.name})" in text
        assert record.name in alone
    assert "runs/" not in alone
    line = next(line for line in text.splitlines() if line.startswith("| alpha"))
    assert line.count("](#t1r1)") == 5
    assert '<a id="t1r1"></a>' in text


def test_markup_in_names_is_shown_not_obeyed(tmp_path: Path) -> None:
    (table,) = make_tables([make_run(tmp_path, make_spec("[bold]x|y"), constant(1.0))])
    assert "\\|y" in table_markdown(1, table, tmp_path)
    assert next(iter(to_rich(table).columns[0].cells)) == "\\[bold]x|y"


def test_summarise_one_value_has_no_spread() -> None:
    assert summarise([2.5]).std is None


def test_stretches_are_drawn_where_test_sequences_share_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for method, mean in (("a", 1.0), ("b", 1.3)):
        for seed in range(2):
            make_run(tmp_path / "apart", make_spec(method, seed), noisy(rng, mean, 240))
            make_run(tmp_path / "shared", make_spec(method, seed), noisy(rng, mean, 240), test_overlap=8)
            make_run(tmp_path / "short", make_spec(method, seed), noisy(rng, mean, 80), test_overlap=8)
    tables = {name: make_tables(collect([tmp_path / name]).records)[0] for name in ("apart", "shared", "short")}
    notes = {name: "\n".join(footnotes(table)) for name, table in tables.items()}
    assert "a paired bootstrap over test sequences and draws of seeds" in notes["apart"]
    assert "over 10 stretches of 24 test sequences (neighbours are similar)" in notes["shared"]
    assert (
        "not tested against the best: 3 independent stretches of test sequences found, 5 are needed" in notes["short"]
    )
    assert tables["short"].rows[1].standings["mse_frame"].p is None
    assert tables["shared"].rows[1].standings["mse_frame"].p is not None


def test_not_tested_is_told_apart_from_told_apart(tmp_path: Path) -> None:
    """A best row with one seed leaves every other row untested, whatever their own seeds."""
    rng = np.random.default_rng(0)
    records = [make_run(tmp_path, make_spec("best"), noisy(rng, 1.0))]
    records += [make_run(tmp_path, make_spec("far", s), noisy(rng, 9.0)) for s in range(2)]
    records.append(make_run(tmp_path, make_spec("still", training=None), noisy(rng, 5.0), parameters=0))
    (table,) = make_tables(records)
    reasons = {row.label: row.standings["mse_frame"].reason for row in table.rows}
    blamed = "not tested: the best row has n = 1, so the variance between seeds is unknown"
    assert reasons == {"best": "", "far": blamed, "still": blamed}
    cells = list(csv.DictReader(io.StringIO(summary_csv(make_report(Collected(tuple(records), {})).sections))))
    far = next(line for line in cells if (line["row"], line["metric"]) == ("far", "mse_frame"))
    assert (far["p_adjusted"], far["tied"], far["note"]) == ("", "", blamed)


def test_mark_interval_p_and_csv_say_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(6):
        for seed in range(3):
            make_run(tmp_path, make_spec(f"m{number}", seed), noisy(rng, 1 + 0.04 * number))
    report = make_report(collect([tmp_path]), count_parameters=False)
    (table,) = report.tables
    lines = list(csv.DictReader(io.StringIO(summary_csv(report.sections))))
    seen = set()
    for row in table.rows:
        place = row.standings["mse_frame"]
        (line,) = (one for one in lines if (one["row"], one["metric"]) == (row.label, "mse_frame"))
        if place.rank == 1:
            assert line["p_adjusted"] == ""
            continue
        assert place.difference is not None
        holds_zero = float(line["low"]) <= 0 <= float(line["high"])
        assert holds_zero == (float(line["p_adjusted"]) > 0.05) == (line["tied"] == "1") == place.tied
        text = table_markdown(1, table, tmp_path)
        cell = next(one for one in text.splitlines() if one.startswith(f"| {row.label} |")).split("|")[2]
        assert ("≈" in cell) == place.tied
        seen.add(place.tied)
    assert seen == {True, False}


def test_whatever_is_in_the_run_id_but_the_seed_separates_rows(tmp_path: Path) -> None:
    """Two checkpoints of one file name are two rows, and their names tell which is which."""
    weights = ["a" * 64, "b" * 64]
    specs = [make_spec("tau@best.pth", training=None, weights=one) for one in weights]
    specs += [make_spec("alpha", 0), make_spec("alpha", 1), make_spec("alpha", 0, plugin="other")]
    (table,) = make_tables([make_run(tmp_path, spec, constant(1.0 + i)) for i, spec in enumerate(specs)])
    assert [row.label for row in table.rows] == [
        "tau@best.pth [weights=aaaaaaaa]",
        "tau@best.pth [weights=bbbbbbbb]",
        "alpha [plugin=alpha]",
        "alpha [plugin=other]",
    ]
    assert [len(row.runs) for row in table.rows] == [1, 1, 2, 1]


def test_seeds_trained_by_different_code_are_named(tmp_path: Path) -> None:
    for seed, source in enumerate(("c0de1", "c0de2", "c0de1")):
        make_run(tmp_path, make_spec("alpha", seed), constant(1.0), method_source=source)
        make_run(tmp_path, make_spec("beta", seed), constant(1.0), method_source="same")
    (table,) = make_tables(collect([tmp_path]).records)
    said = [note for note in footnotes(table) if "method source" in note]
    assert said == ["alpha (seeds of different code): method source c0de1 for seeds 0, 2; c0de2 for seed 1."]
    assert [row.label for row in table.rows] == ["alpha (seeds of different code)", "beta"]


def test_tables_of_different_data_have_different_titles(tmp_path: Path) -> None:
    records = [make_run(tmp_path, make_spec("a"), constant(1.0), data_fingerprint="1" * 64)]
    records.append(make_run(tmp_path, make_spec("b"), constant(1.0), data_fingerprint="2" * 64))
    records.append(make_run(tmp_path, make_spec("c", data_range=2.0), constant(1.0), data_fingerprint="1" * 64))
    titles = [table.title for table in make_tables(records)]
    assert len(set(titles)) == 3
    assert titles[1].endswith("data 22222222, data_range 1.0")
