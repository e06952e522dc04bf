"""``scripts/gpu_acceptance.sh``: a dry run of every stage on a CPU, and its answer to a mistake."""

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
