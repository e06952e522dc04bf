"""``stbench run --budget`` in real processes."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import TINY_CONVLSTM, only, stbench


def finished(out: Path, budget: str) -> tuple[dict, list[dict], str]:
    """Result, history and output of a run."""
    done = stbench("run", "--methods", "convlstm", *TINY_CONVLSTM, "--budget", budget, "--out", str(out))
    assert done.returncode == 0, done.stderr
    folder = only(out / "runs", "*convlstm*")
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return json.loads((folder / "result.json").read_text()), history, done.stdout


@pytest.mark.slow
def test_multiply_adds(tmp_path: Path) -> None:
    result, history, output = finished(tmp_path, "2e9MACs")
    assert result["status"] == "finished"
    last = history[-1]
    per_step = last["macs"] // last["step"]
    assert last["macs"] == per_step * last["step"]
    assert 2e9 - per_step < last["macs"] <= 2e9
    assert "(2e+09 MACs)" in output


@pytest.mark.parametrize("seconds", [2])
def test_time(tmp_path: Path, seconds: int) -> None:
    result, history, _ = finished(tmp_path, f"{seconds}s")
    assert result["train_seconds"] >= seconds > result["train_seconds"] - history[-1]["train_seconds"]
    assert result["epochs_run"] == len(history)
