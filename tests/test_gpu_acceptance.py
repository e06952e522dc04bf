"""``scripts/gpu_acceptance.sh``: a dry run of every stage on a CPU, its order, its answers to failures and mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_FILES, MOST_BYTES = 8, 16 << 20


def accept(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = ["bash", "scripts/gpu_acceptance.sh", *arguments]
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=environment)


def test_an_unknown_argument_is_a_mistake() -> None:
    done = accept("--limits", "5")
    assert done.returncode == 2
    assert "unknown argument --limits" in done.stderr
    assert "--limit S" in done.stderr


@pytest.mark.slow
def test_dry_run_goes_through_every_stage(tmp_path: Path) -> None:
    done = accept(str(tmp_path / "gpu"), "--dry-run", "--limit", "900", timeout=1000)
    summary = (tmp_path / "gpu" / "summary.txt").read_text()
    assert done.returncode == 0, summary + done.stderr
    for stage in "abcd":
        line = next(line for line in summary.splitlines() if line.startswith(f"stage {stage}, "))
        assert ": passed after " in line, line
    files = list((tmp_path / "gpu").iterdir())
    assert {"profile.tar.gz", "speed.tar.gz", "runs.tar.gz"} <= {file.name for file in files}
    assert len(files) <= MOST_FILES
    assert all(file.stat().st_size <= MOST_BYTES for file in files)


PRETENDER = """#!/usr/bin/env bash
if [[ $1 = - ]]; then cat >/dev/null; echo swinlstm; exit; fi
echo "$*" >>"$CALLS"
out=$(sed 's/.*--out \\([^ ]*\\).*/\\1/' <<<"$*")
if [[ $* = *"stbench run"* ]]; then
  out=$out/runs/$(tr -c a-z0-9 - <<<"$*" | cut -c1-80) && mkdir -p "$out" && touch "$out/result.json"
  [[ $* != *phydnet* ]]; exit
fi
mkdir -p "$out" && echo made >"$out/made.txt"
"""
"""In place of Python: notes its arguments, finishes runs at once, and fails those of one method."""


def test_a_failed_run_stops_neither_the_others_nor_the_next_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text(PRETENDER)
    (tmp_path / "python").chmod(0o755)
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    done = accept(str(tmp_path / "gpu"), "--limit", "120", "--data", str(tmp_path), "--stages", "d,b")
    assert done.returncode == 1
    assert "stage b, profiles: passed" in done.stdout
    assert "failed after" in done.stdout
    assert "RESULT 25 runs finished" in done.stdout  # persistence, and 8 methods on 3 seeds
    lines = calls.read_text().splitlines()
    assert sum("stbench profile" in line and "swinlstm" in line for line in lines) == 4
    seeds = [line.partition("--seeds ")[2][:1] for line in lines if "--seeds" in line]
    assert len(seeds) == 24
    assert seeds[:8].count("0") >= 5  # the first seed of all methods before the next seed, five at once
    assert {file.name for file in (tmp_path / "gpu").iterdir()} == {
        *("summary.txt", "stage-b.log", "stage-d.log", "profile.tar.gz", "runs.tar.gz"),
    }
