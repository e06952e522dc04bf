"""``stbench run --devices 2``: two processes on a CPU write one set of results."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import TINY_CONVLSTM, command, only, stbench


@pytest.mark.slow
def test_two_devices(tmp_path: Path) -> None:
    arguments = ["--methods", "convlstm,climatology", *TINY_CONVLSTM, "--epochs", "1", "--device", "cpu"]
    done = stbench("run", *arguments, "--set", "dataset.test_clips=21", "--devices", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Plan:") == 1
    alone = stbench("run", *arguments, "--set", "dataset.test_clips=21", "--out", str(tmp_path / "alone"))
    assert alone.returncode == 0, alone.stderr
    for method in ("convlstm", "climatology"):
        folders = [only(root / "runs", f"*{method}*") for root in (tmp_path, tmp_path / "alone")]
        two, one = (pd.read_parquet(folder / "per_sequence.parquet") for folder in folders)
        two = two.sort_values(["sequence", "lead_time"], ignore_index=True)
        pd.testing.assert_frame_equal(two, one, rtol=1e-4)


def ranks(main: int) -> dict[int, int]:
    """The data-parallel processes of a command, by rank."""
    found = {0: main}
    for child in Path(f"/proc/{main}/task/{main}/children").read_text().split():
        pairs = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found |= {int(pair[11:]): int(child) for pair in pairs if pair.startswith(b"LOCAL_RANK=")}
    return found


def wait_for(what: str, condition: object, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_leaves_a_run_that_can_be_resumed(tmp_path: Path, victim: int) -> None:
    """The other process ends by itself, with one line; the same command goes on from the last epoch."""
    arguments = ["run", "--methods", "convlstm", *TINY_CONVLSTM, "--epochs", "12", "--device", "cpu"]
    arguments += ["--devices", "2", "--out", str(tmp_path)]
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=errors, text=True)
        wait_for("first epoch", lambda: list(tmp_path.glob("runs/*convlstm*/history.jsonl")))
        group = ranks(process.pid)
        assert set(group) == {0, 1}
        os.kill(group[victim], signal.SIGKILL)
        code = process.wait(120)
    wait_for("end of the other process", lambda: not Path(f"/proc/{group[1]}/cmdline").exists(), 120)
    folder = only(tmp_path / "runs", "*convlstm*")
    assert not (folder / "result.json").exists()
    if victim == 1:
        assert code == 1
        told = [line for line in (tmp_path / "stderr").read_text().splitlines() if line.startswith("Error")]
        assert len(told) == 1
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    known = len((folder / "history.jsonl").read_text().splitlines())
    assert 0 < known < 12
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len((folder / "history.jsonl").read_text().splitlines()) == 12
    assert (folder / "result.json").is_file()
