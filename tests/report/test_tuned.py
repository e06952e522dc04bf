"""What is written about a search: the best settings, every trial, and the numbers of the figure."""

import csv
from pathlib import Path
from typing import Any

import pytest

from stbench.report.analysis.expected import expected_lowest
from stbench.report.figures.style import numbers_only
from stbench.report.produce import write_tuned
from stbench.schema.trial import Trial, Tuned


def trial(method: str, number: int, state: str, value: float | None, lr: str, **more: Any) -> Trial:
    values = {"method": method, "number": number, "state": state, "value": value, "settings": {"training.lr": lr}}
    return Trial.model_validate({**values, "epochs": 3, "seconds": 60.0, "macs": 1e9, "run": f"r{number}", **more})


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    return Tuned(
        benchmark="somewhere",
        protocol="quick",
        methods=("good", "bad"),
        limit="4 trials",
        sampler="tpe",
        pruner="asha",
        trial_seed=0,
        trials=(
            trial("good", 0, "finished", 5.0, "0.1"),
            trial("good", 1, "pruned", 2.0, "0.2"),
            trial("good", 2, "finished", 4.0, "0.00312345"),
            trial("good", 3, "failed", None, "0.4", reason="diverged: =nan", run=""),
            trial("good", 4, "open", None, "0.5"),
            trial("bad", 0, "failed", None, "0.1", reason="crashed"),
        ),
    )


@pytest.fixture(scope="module")
def written(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    with numbers_only():
        write_tuned(tuned, folder)
    return folder


def test_the_best_is_a_finished_trial(tuned: Tuned) -> None:
    """The pruned one was lower when it was given up, but its run has no end to repeat."""
    best = tuned.best("good")
    assert best is not None
    assert best.number == 2
    assert tuned.best("bad") is None


def test_the_table_of_best_settings(written: Path) -> None:
    lines = (written / "best.md").read_text().splitlines()
    (good,) = (line for line in lines if line.startswith("| good"))
    assert [cell.strip() for cell in good.strip("|").split("|")] == [
        *("good", "lr=0.003123", "3", "4.000", "4.000", "4", "1", "1", "4.0 min", "4.00 G"),
    ], "the mean of 5, 2, 4 and, for the failed one, 5; the open one does not count"
    assert any(line.startswith("| bad | none finished |") for line in lines)
    assert any("test split was not used" in line for line in lines)
    assert any("1 trial not ended yet" in line for line in lines)


def test_every_trial_is_a_line(tuned: Tuned, written: Path) -> None:
    rows = list(csv.DictReader((written / "trials.csv").open()))
    assert [(row["method"], int(row["trial"]) - 1, row["state"]) for row in rows] == [
        (one.method, one.number, one.state) for one in tuned.trials
    ]
    assert rows[2]["training.lr"] == "0.00312345"
    assert rows[3]["reason"] == "diverged: =nan"
    assert Tuned.model_validate_json((written / "tune.json").read_text()) == tuned


def test_the_numbers_of_the_figure(written: Path) -> None:
    rows = list(csv.DictReader((written / "expected.csv").open()))
    expected = expected_lowest([5.0, 2.0, 4.0, 5.0])
    assert {row["method"] for row in rows} == {"good"}
    for name, values in (("expected_lowest", expected.mean), ("low", expected.low), ("high", expected.high)):
        assert [float(row[name]) for row in rows] == pytest.approx(values.tolist())
    assert [float(row["lowest_in_order"]) for row in rows] == [5.0, 2.0, 2.0, 2.0]
