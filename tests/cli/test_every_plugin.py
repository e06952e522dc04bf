"""The package that docs/extending.md shows: every kind of plugin, a file of at most 40 lines each, in one run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.cli.commands import only, stbench

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the scratch package is installed."""
    folder = tmp_path_factory.mktemp("scratch")
    for name, text in {"scratch/__init__.py": "", **FILES}.items():
        file = folder / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(folder / "source")], check=True, capture_output=True)
    return {"PYTHONPATH": str(folder / "site")}


def test_the_page_shows_every_kind() -> None:
    groups = set(re.findall(r'entry-points."(stbench\.\w+)"', FILES["pyproject.toml"]))
    own = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    kinds = set(re.findall(r'entry-points."(stbench\.\w+)"', own))
    assert groups == kinds


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"pyproject.toml"}))
def test_a_plugin_is_a_small_file(name: str) -> None:
    assert len(FILES[name].strip().splitlines()) <= 40


@pytest.mark.slow
def test_all_of_them_take_part_in_one_run(installed: dict[str, str], tmp_path: Path) -> None:
    choice = ["--methods", "scratch_method,persistence", "--dataset", "scratch_benchmark", "--device", "cpu"]
    more = ["--log", "scratch_log", "--log", "csv", "--executor", "scratch_backwards"]
    done = stbench("run", *choice, *more, "--out", str(tmp_path), env=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    # executor and logger: the last of the plan was done first, and every end was heard of
    assert (tmp_path / "lines.txt").read_text().splitlines() == ["persistence 0 finished", "scratch_method 0 finished"]
    run = only(tmp_path / "runs", "scratch_benchmark-paper-scratch_method-*")
    spec: dict[str, Any] = yaml.safe_load((run / "spec.yaml").read_text())
    assert spec["training"]["optimizer"] == {"kind": "scratch_sgd", "nesterov": True}  # optimiser, schedule, benchmark
    assert spec["training"]["schedule"] == {"kind": "scratch_decay", "factor": 0.5}
    assert spec["dataset"]["reader"] == "scratch_reader"
    epochs = pd.read_csv(tmp_path / "epochs.csv")  # schedule, csv logger
    assert epochs["lr"].tolist() == [0.01, 0.005]
    assert epochs["method"].tolist() == ["scratch_method"] * 2
    assert "stripes" in done.stdout  # reader
    frames = pd.read_parquet(run / "per_sequence.parquet")  # metric: a ratio of sums, not a mean of ratios
    total = frames["scratch_hits.hits"].sum() / frames["scratch_hits.bright"].sum()
    result = yaml.safe_load((run / "result.json").read_text())
    assert result["test"]["scratch_hits"]["total"] == pytest.approx(total)
    assert "scratch_method" in (tmp_path / "table.md").read_text()
    done = stbench("evaluate", str(tmp_path), "--scenario", "scratch_flip", "--device", "cpu", env=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = yaml.safe_load(only(run / "scenarios", "scratch_flip*").joinpath("scenario.json").read_text())["cases"]
    ordinary, flipped = (case["metrics"]["mse_frame"]["total"] for case in cases)  # stripes are alike in every row
    assert ordinary == flipped == result["test"]["mse_frame"]["total"]


@pytest.mark.slow
def test_they_are_listed_and_keep_their_contracts(installed: dict[str, str]) -> None:
    listed = {
        "methods": "scratch_method",
        "metrics": "scratch_hits",
        "benchmarks": "scratch_benchmark",
        "optimizers": "scratch_sgd",
        "schedules": "scratch_decay",
        "loggers": "scratch_log",
        "executors": "scratch_backwards",
        "scenarios": "scratch_flip",
    }
    for kind, name in listed.items():
        done = stbench("list", kind, env=installed)
        assert name in done.stdout, done.stderr
    for kind in listed.keys() - {"benchmarks", "methods"}:
        done = stbench("check", "--kind", kind, listed[kind], env=installed)
        assert done.returncode == 0, done.stdout
