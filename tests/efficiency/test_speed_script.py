"""``scripts/measure_speed.py``: that it runs, its targets, the dated record and the comparison with the last one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import measure_speed as script

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"device": "ACME X1", "threads": 2, "libraries": {}}
CHOICES = {"compile": False, "budget": 6.0}


def test_targets_bound_from_the_right_side() -> None:
    assert script.Ratio(2.0, 1.5, lower=False, detail={}).met is True
    assert script.Ratio(2.0, 1.5, lower=True, detail={}).met is False
    assert script.Ratio(2.0, None, lower=True, detail={}).met is None


@pytest.mark.parametrize(
    ("value", "lower", "worse"), [(0.89, False, True), (0.91, False, False), (1.11, True, True), (1.09, True, False)]
)
def test_worse_by_more_than_a_tenth(value: float, lower: bool, worse: bool) -> None:
    assert script.Ratio(value, None, lower=lower, detail={}).worsened(1.0) is worse


def test_record_is_found_again_on_the_same_hardware_only(tmp_path: Path) -> None:
    ratios = {"a": script.Ratio(2.0, 1.5, lower=False, detail={"seconds": 3})}
    folder = tmp_path / "new" / "speed"
    path = script.write(folder, ratios, ENVIRONMENT, CHOICES)
    assert path.name.endswith("-acme-x1-t2.json")
    record = json.loads(path.read_text())
    assert record["environment"] == ENVIRONMENT
    assert record["ratios"]["a"] == {"value": 2.0, "target": 1.5, "met": True, "lower_is_better": False, "seconds": 3}
    assert script.last_record(folder, ENVIRONMENT, CHOICES) == {"a": 2.0}
    assert script.last_record(folder, {**ENVIRONMENT, "threads": 1}, CHOICES) == {}
    assert script.last_record(folder, ENVIRONMENT, {**CHOICES, "compile": True}) == {}


def test_a_regression_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ratios = {"slower": script.Ratio(0.8, 1.0, lower=False, detail={}), "same": script.Ratio(1.0, None, True, {})}
    assert script.show(ratios, {"slower": 1.0, "same": 1.0}) == ["slower"]
    first, second = capsys.readouterr().out.splitlines()
    assert "MISSED" in first
    assert "last 1.000 WORSE" in first
    assert "WORSE" not in second


def test_every_reference_has_a_number() -> None:
    keys = {(benchmark, method) for benchmark in script.BATCHES for method in script.METHODS}
    assert set(script.REFERENCE_SHARES) == set(script.REFERENCE_MEMORY) == keys
    assert {name for targets in script.TARGETS.values() for name in targets} == set(script.METHODS)


@pytest.mark.slow
def test_the_quick_check_measures_everything_but_memory(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/measure_speed.py", "--quick", "--budget", "0.01", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--threads", "1", "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for part in ("taxibj b1 32 inference", "taxibj b1 bf16 training", "metrics / inference", "checkpoint", "start-up"):
        assert any(part in line for line in lines), part
    assert not list(tmp_path.iterdir())
