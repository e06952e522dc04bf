"""``scripts/measure_speed.py``: its ratios, the dated record, the table of where time goes, and a run at tiny sizes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.speed import breakdown, record
from scripts.speed.worker import with_reference
from tests.support.eager import EAGER

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"device": "ACME X1", "threads": 2, "libraries": {}}
CHOICES = {"compile": False, "one_process": False, "tiny": False}


def test_methods_that_can_be_measured() -> None:
    assert with_reference("all") == tuple(EAGER)
    assert with_reference("tau,predformer:facts") == ("tau", "predformer:facts")
    for name in ("persistence", "simvp:inception", "tau:no_sa", "mmvp:clip"):
        with pytest.raises(argparse.ArgumentTypeError, match=rf"no eager reference of {name}\."):
            with_reference(f"tau,{name}")


def test_targets_bound_from_the_right_side() -> None:
    assert record.Ratio(2.0, 1.5, lower=False, detail={}).met is True
    assert record.Ratio(2.0, 1.5, lower=True, detail={}).met is False
    assert record.Ratio(2.0, None, lower=True, detail={}).met is None


@pytest.mark.parametrize(
    ("value", "lower", "worse"), [(0.89, False, True), (0.91, False, False), (1.11, True, True), (1.09, True, False)]
)
def test_worse_by_more_than_a_tenth(value: float, lower: bool, worse: bool) -> None:
    assert record.Ratio(value, None, lower=lower, detail={}).worsened(1.0) is worse


def test_record_is_found_again_on_the_same_hardware_only(tmp_path: Path) -> None:
    ratios = {"a": record.Ratio(2.0, 1.5, lower=False, detail={"seconds": 3})}
    folder = tmp_path / "new" / "speed"
    path = record.write(folder, {"environment": ENVIRONMENT, "choices": CHOICES}, ratios)
    assert path.name.endswith("-acme-x1-t2.json")
    written = json.loads(path.read_text())
    assert written["environment"] == ENVIRONMENT
    assert written["ratios"]["a"] == {"value": 2.0, "target": 1.5, "met": True, "lower_is_better": False, "seconds": 3}
    assert record.last_record(folder, ENVIRONMENT, CHOICES) == {"a": 2.0}
    assert record.last_record(folder, {**ENVIRONMENT, "threads": 1}, CHOICES) == {}
    assert record.last_record(folder, ENVIRONMENT, {**CHOICES, "compile": True}) == {}
    path.write_text(json.dumps({"superseded": "two machines", **written}))
    assert record.last_record(folder, ENVIRONMENT, CHOICES) == {}


def test_every_committed_record_is_of_the_present_kind_or_superseded() -> None:
    valid, superseded = (ROOT / "results" / "speed" / "README.md").read_text().split("## Superseded records")
    for path in (ROOT / "results" / "speed").glob("*.json"):
        found = json.loads(path.read_text())
        assert path.name in (superseded if "superseded" in found else valid)
        if "superseded" not in found:
            assert {"choices", "where"} <= set(found)
            assert all((ratio.get("share_of_peak") or 0) <= 1 for ratio in found["ratios"].values())


def test_a_regression_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ratio = record.Ratio
    ratios = {"slower": ratio(0.8, 1.0, lower=False, detail={}), "same": ratio(1.0, None, True, {})}
    assert record.show(ratios, {"slower": 1.0, "same": 1.0}) == ["slower"]
    first, second = capsys.readouterr().out.splitlines()
    assert "MISSED" in first
    assert "last 1.000 WORSE" in first
    assert "WORSE" not in second


def test_time_is_told_apart_by_kind_of_work() -> None:
    conv, norm = torch.nn.Conv2d(16, 16, 5, padding=2), torch.nn.GroupNorm(2, 16)
    optimizer = torch.optim.Adam([*conv.parameters(), *norm.parameters()])
    x = torch.rand(4, 16, 64, 64)

    def step() -> None:
        norm(conv(x)).sigmoid().square().mean().backward()
        optimizer.step()

    step()
    found = breakdown.where_time_goes(step, torch.device("cpu"))
    assert set(found) == set(breakdown.SHOWN)
    assert all(found[kind] > 0 for kind in ("convolutions", "norms", "elementwise", "optimiser"))
    assert found["matrix products"] == 0
    assert found["convolutions"] == max(found[k] for k in ("convolutions", "norms", "copies", "allocator"))
    lines = breakdown.table({"ours": found}).splitlines()
    assert lines[-1].startswith("| sum |")
    assert lines[-1].endswith("(100%) |")


@pytest.mark.slow
def test_tiny_sizes_measure_every_side_in_fresh_processes(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/measure_speed.py", "--tiny", "--rounds", "1", "--budget", "0.01"]
    sizes = ["--repeats", "1", "--threads", "1", "--benchmarks", "taxibj", "--methods", "tau,convlstm,simvp:vit"]
    done = subprocess.run(
        [*command, *sizes, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())
    for method in ("tau", "convlstm", "simvp:vit"):
        for mode in ("inference", "training"):
            ratio = found["ratios"][f"taxibj b2 {method} {mode}: eager / stbench"]
            assert ratio["value"] > 0
            assert 0 < ratio["share_of_peak"] <= 1
            assert f"taxibj b2 {method} {mode}: eager / fast" in found["ratios"]
            assert f"taxibj b2 {method} {mode}: stbench / bf16" in found["ratios"]
            assert set(found["where"][f"taxibj b2 {method}, {mode}"]) == {"eager", "stbench", "fast", "bf16"}
        assert found["ratios"][f"taxibj b2 {method} memory of a training step: stbench / eager"]["value"] > 0
    for part in ("metrics / inference", "checkpoint / epoch", "start-up", "| convolutions |"):
        assert part in done.stdout, part
