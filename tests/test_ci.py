"""The script of CI: what it runs, and that neither a failure nor a want of time of its last step goes unnoticed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
MAKE = """#!/bin/sh
echo "make $1"
case "$1" in {target}) {what} ;; esac
"""
STEPS = ["make lint", "make test", "make test-slow"]


@pytest.mark.parametrize(
    ("target", "what", "seconds", "code", "ran", "said"),
    [
        ("none", "true", "600", 0, [*STEPS, "make test-lowest"], ""),
        ("test-lowest", "exit 2", "600", 2, [*STEPS, "make test-lowest"], ""),
        ("test-lowest", "sleep 60", "1", 0, [*STEPS, "make test-lowest"], "Stopped for want of time"),
        ("none", "true", "0", 0, STEPS, "Not run for want of time"),
        ("test", "exit 2", "600", 2, STEPS[:2], ""),
    ],
)
def test_steps(tmp_path: Path, target: str, what: str, seconds: str, code: int, ran: list[str], said: str) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "run")
    (tmp_path / "bin").mkdir()
    make = tmp_path / "bin" / "make"
    make.write_text(MAKE.format(target=target, what=what))
    make.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{make.parent}:{os.environ['PATH']}",
        "CI_SECONDS": seconds,
        "CI_LEAST_SECONDS": "1",
    }
    started = time.monotonic()
    done = subprocess.run(
        ["bash", str(tmp_path / ".ci" / "run")], capture_output=True, text=True, env=env, timeout=50, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == ran
    assert said in done.stderr
    assert time.monotonic() - started < 30


@pytest.mark.slow
def test_tests_out_of_time_are_skipped_and_say_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "--seconds", "0", "-p", "no:cacheprovider", f"{__file__}::test_steps"],
        capture_output=True, text=True, timeout=120, check=False, cwd=SCRIPT.parents[1],
    )  # fmt: skip
    assert "not run: the 0 s for the tests are over" in done.stdout
    assert (done.returncode, done.stdout.splitlines()[-1][:9]) == (0, "5 skipped")
