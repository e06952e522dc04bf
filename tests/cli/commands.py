"""Run the installed command in a process of its own, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli import warm

STBENCH = [str(Path(sys.executable).with_name("stbench"))]

TINY = [
    *("--dataset", "moving_digits", "--protocol", "quick"),
    *("--set", "dataset.test_clips=8", "--set", "evaluation.val_clips=4", "--set", "dataset.train_clips=64"),
]
"""Arguments of a run that takes a second or two per method."""

TINY_CONVLSTM = [*TINY, "--set", "convlstm.hidden=[4]"]


def command(*arguments: str) -> list[str]:
    return [*STBENCH, *arguments]


def stbench(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end, never reading the caller's data folder."""
    given = {k: v for k, v in os.environ.items() if k != "STBENCH_DATA"} | (env or {})
    if {"PYTHONPATH", "OMP_NUM_THREADS"} & (env or {}).keys():  # read by imports, which must start anew
        return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, env=given, check=False)
    return warm.run(command(*arguments), given, timeout=300)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found
