"""A process that stands still, or fails alone, ends the others: one line, its exit code, in seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, signal, sys, time
from stbench.errors import MachineError, UserError
from stbench.train import group
from stbench.train.engine import Engine

group.LOST_LOOKS = 3
what = sys.argv[1]
engine = Engine("cpu", "32", 2)
try:
    with engine.watched():
        if engine.rank == 1 and what == "stands still":
            print(os.getpid(), flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        if engine.rank == 1 and what == "fails" or what == "both fail":
            raise UserError("no data on this node")
        if engine.rank == 1 and what == "full disk":
            raise OSError(28, "No space left on device")
        if what == "leaves":
            sys.exit(0)
        time.sleep(100)  # not in a collective operation, whose end a broken connection would be
except (UserError, MachineError, OSError) as error:
    print("Error:", error, file=sys.stderr, flush=True)
    sys.exit(2 if isinstance(error, UserError) else 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("stands still", 1, "process 1 of 2 (numbered from 0) is gone"),
        ("fails", 2, "Process 1 of 2 ended: no data on this node"),
        ("both fail", 2, "no data on this node"),
        ("full disk", 1, "Process 1 of 2 ended: [Errno 28] No space left on device"),
        ("leaves", 0, ""),
    ],
)
def test_one_of_two(tmp_path: Path, what: str, code: int, said: str) -> None:
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "out").open("w+") as out:  # no pipe, which the process that stands still would keep open
        done = subprocess.run(
            [sys.executable, str(script), what], stdout=out, stderr=out, env=env, timeout=90, check=False
        )
    lines = (tmp_path / "out").read_text().splitlines()
    for number in filter(str.isdigit, lines):
        subprocess.run(["kill", "-KILL", number], check=True)
    told = [line for line in lines if line.startswith("Error")]
    assert done.returncode == code, lines
    assert (said in told[0] and len(told) == 1) if said else not told
    assert not any("Traceback" in line for line in lines)
