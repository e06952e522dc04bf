"""Task and answer of a measuring process, exchanged as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from stbench.efficiency.records import Mode
from stbench.schema import Record

Side = Literal["eager", "stbench", "fast", "bf16", "peak"]
"""``stbench`` and ``eager``: float32. ``bf16``: stbench in bf16. ``fast``: stbench in float32 with ``fast_conv``.
``peak``: the device's probes."""
SCRIPT = Path(__file__).resolve().parents[1] / "measure_speed.py"


class Task(Record):
    """Measurement of one side of a comparison."""

    benchmark: str
    protocol: str
    method: str
    batch: int
    side: Side
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int
    budget: float
    repeats: int
    profiled: bool = False
    compiled: bool = False

    @property
    def precision(self) -> str:
        """Precision of the method, or of the probes."""
        return "bf16" if self.side == "bf16" or (self.side == "peak" and self.method == "bf16") else "32"


class Answer(Record):
    """Seconds of repeats by mode, memory in bytes, and milliseconds of one call by mode and kind of work."""

    seconds: dict[Mode, list[float]] = {}
    peak_memory: int | None = None
    page_faults: dict[Mode, int] = {}
    where: dict[Mode, dict[str, float]] = {}
    peak_flops: float | None = None


def measure_in_a_process(task: Task) -> Answer:
    """Run a task in a fresh process with its own number of threads.

    Raises:
        SystemExit: the process failed; the end of its output is printed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads)}
    command = [sys.executable, str(SCRIPT), "--worker"]
    done = subprocess.run(command, input=task.model_dump_json(), capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{task.side} of {task.method} on {task.benchmark} failed (exit code {done.returncode}).")
    return Answer.model_validate(json.loads(done.stdout.splitlines()[-1]))
