"""``stbench run --devices 2``: two processes on a CPU write one set of results."""

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import TINY_CONVLSTM, only, stbench


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
