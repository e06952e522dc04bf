"""Cost columns: which exist, their text, and that a profile's speeds appear only in rows that it measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from stbench.efficiency.records import Cost, MacCount, ParameterCount, Profile, Speed, Spread
from stbench.errors import UserError
from stbench.report.analysis.columns import cost_columns, cost_notes, unused_profiles
from stbench.report.analysis.section import make_report
from stbench.report.analysis.table import Table, make_tables
from stbench.report.collect.profiles import find_profiles
from stbench.report.collect.records import collect
from stbench.report.writers.csv import summary_csv
from tests.report.runs import make_run, make_spec

ERRORS = np.full((4, 3), 2.0)


def make_cost(method: str, *, macs: int = 5_000_000, parameters: int = 12_345) -> Cost:
    spec = make_spec(method)

    def speed(batch: int, seconds: float, precision: str = "32") -> Speed:
        spread = Spread(**dict.fromkeys(Spread.model_fields, seconds) | {"samples": 30})
        rate = batch / seconds
        return Speed(mode="inference", precision=precision, batch=batch, seconds=spread, sequences_per_second=rate)

    count = MacCount(executed=macs, idle=0, one_pass=None, modules={}, operators={}, uncounted={}, torch_counter=macs)
    speeds = (speed(1, 0.02), speed(8, 0.1), speed(16, 0.4), speed(1, 0.001, "bf16"))
    known = ParameterCount(live=parameters, dead=0, shared=0)
    return Cost(
        method=method, plugin=method, encoder="paper", shape=spec.shape, parameters=known, macs=count, speeds=speeds
    )


def make_profile(*costs: Cost, device: str = "test CPU") -> Profile:
    environment = {"device": device, "libraries": {"torch": "2.9"}, "threads": 2}
    return Profile(benchmark="toy", version=1, protocol="paper", environment=environment, compiled=False, costs=costs)


def make_table(root: Path, *profiles: Profile) -> Table:
    for seed, seconds in enumerate((100.0, 300.0)):
        make_run(root, make_spec("alpha", seed), ERRORS, macs=5_000_000, train_seconds=seconds)
    make_run(root, make_spec("beta"), ERRORS, macs=7_000_000, train_seconds=8000.0)
    make_run(root, make_spec("still", training=None), ERRORS, macs=0, parameters=0, seconds_per_epoch=None)
    (table,) = make_tables(collect([root]).records, profiles)
    return table


def texts(table: Table) -> dict[str, dict[str, str]]:
    return {row.label: {c.heading: c.text(row) for c in cost_columns(table)} for row in table.rows}


def test_costs_of_training_and_prediction(tmp_path: Path) -> None:
    shown = texts(make_table(tmp_path))
    alpha = {"n": "2", "params": "12.3 k", "MACs": "5 M", "s/epoch": "2.0", "training": "3.3 min"}
    assert shown["alpha"] == alpha
    assert shown["beta"]["training"] == "2.2 h"
    assert shown["still"] == {"n": "1 (untrained)", "params": "0", "MACs": "0", "s/epoch": "–", "training": "–"}


def test_columns_that_nobody_fills_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path, make_spec("still", training=None), ERRORS, parameters=0, seconds_per_epoch=None)
    (table,) = make_tables(collect([tmp_path]).records)
    assert [column.heading for column in cost_columns(table)] == ["n", "params"]
    assert cost_notes(table) == []


def test_speeds_of_the_same_method_at_the_same_sizes(tmp_path: Path) -> None:
    """alpha agrees in name, shape, parameters and MACs; beta's profile is of another size."""
    table = make_table(tmp_path, make_profile(make_cost("alpha"), make_cost("beta", macs=5_000_000)))
    shown = texts(table)
    assert (shown["alpha"]["latency"], shown["alpha"]["seq/s"]) == ("20 ms", "80")  # 8 clips in 0.1 s
    assert (shown["beta"]["latency"], shown["beta"]["seq/s"]) == ("–", "–")
    assert any("float32, test CPU, torch 2.9, threads: 2" in note for note in cost_notes(table))


def test_two_machines_are_two_columns_and_a_stranger_none(tmp_path: Path) -> None:
    first, second = make_profile(make_cost("alpha")), make_profile(make_cost("alpha"), device="test GPU")
    stranger = make_profile(make_cost("alpha", parameters=1), device="elsewhere")
    table = make_table(tmp_path, first, stranger, second)
    heads = [column.heading for column in cost_columns(table)]
    assert heads[-4:] == ["latency [1]", "seq/s [1]", "latency [2]", "seq/s [2]"]
    notes = "\n".join(cost_notes(table))
    assert "[1] " in notes
    assert "test GPU" in notes
    assert "elsewhere" not in notes


def test_speeds_are_lines_of_the_tidy_summary(tmp_path: Path) -> None:
    make_table(tmp_path)
    report = make_report(collect([tmp_path]), profiles=[make_profile(make_cost("alpha"))], count_parameters=False)
    lines = summary_csv(report.sections).splitlines()
    (latency,) = (line for line in lines if ",latency_seconds," in line)
    assert latency.startswith("profiled,toy,paper,alpha,latency_seconds,0.02,")
    assert len({line.count(",") for line in lines if '"' not in line}) == 1


def test_profiles_are_found_beside_the_runs_or_given(tmp_path: Path) -> None:
    runs = tmp_path / "out" / "runs"
    runs.mkdir(parents=True)
    folder = tmp_path / "out" / "profile"
    folder.mkdir()
    (folder / "a.json").write_text(make_profile(make_cost("alpha")).model_dump_json())
    (folder / "b.json").write_text("{}")
    found, left_out = find_profiles([runs])
    assert [profile.costs[0].method for profile in found.values()] == ["alpha"]
    assert "'benchmark' is missing" in left_out[(folder / "b.json").resolve()]
    again, _ = find_profiles([runs], [folder / "a.json"])
    assert len(again) == 1


def test_a_given_profile_that_fits_no_run_is_named(tmp_path: Path) -> None:
    fits, other = tmp_path / "fits.json", tmp_path / "other.json"
    fits.write_text(make_profile(make_cost("alpha")).model_dump_json())
    other.write_text(make_profile(make_cost("stranger")).model_dump_json())
    given = [fits, other, tmp_path]
    found, _ = find_profiles([], given)
    record = make_run(tmp_path / "runs", make_spec("alpha"), ERRORS)
    assert list(unused_profiles(given, found, make_tables([record], list(found.values())))) == [other]
    assert list(unused_profiles(given, found, make_tables([record]))) == given


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("{", "cannot be read"), ("{}", "missing")])
def test_a_given_profile_must_be_one(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        find_profiles([], [path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JSON file"):
        find_profiles([], [tmp_path / "empty"])


def test_a_result_without_counts_is_still_read(tmp_path: Path) -> None:
    """Results written before multiply-adds were recorded."""
    record = make_run(tmp_path, make_spec("alpha"), ERRORS)
    path = record.folder.file("result.json")
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("macs", "test_overlap")}
    path.write_text(json.dumps(old))
    (table,) = make_tables(collect([tmp_path]).records)
    assert table.rows[0].macs is None
    assert "MACs" not in [column.heading for column in cost_columns(table)]
