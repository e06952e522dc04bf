"""One run over two nodes equals the run of one process with the same global batch."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.cli.commands import TINY_CONVLSTM, command, only, stbench
from tests.support.nodes import loopback, namespaces, no_namespaces, torchrun
from tests.support.slurm import cluster_or_skip

UNEVEN = ["--set", "dataset.test_clips=21", "--set", "evaluation.val_clips=5"]
"""Clips that do not divide among two processes."""
RUN = ["run", "--methods", "convlstm,climatology", *TINY_CONVLSTM, *UNEVEN, "--epochs", "2", "--device", "cpu"]
SECONDS = 280


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command(*RUN, "--out", str(out)), env=env, capture_output=True, check=True, timeout=SECONDS)
    return out


def read(out: Path, method: str) -> tuple[list[tuple[float, float]], dict[str, float], pd.DataFrame]:
    """Loss curve, test metrics, and values of every test frame."""
    folder = only(out / "runs", f"*-{method}-*")
    lines = (folder / "history.jsonl").read_text().splitlines() if method == "convlstm" else []
    curve = [(record["train_loss"], record["val_mse_frame"]) for record in map(json.loads, lines)]
    result = json.loads((folder / "result.json").read_text())
    assert result["test_clips"] == 21
    frames = pd.read_parquet(folder / "per_sequence.parquet").sort_values(["sequence", "lead_time"], ignore_index=True)
    return curve, {name: score["total"] for name, score in result["test"].items()}, frames


def same_as_alone(out: Path, alone: Path, nodes: int) -> None:
    (curve, metrics, frames), (expected, wanted, rows) = (read(root, "convlstm") for root in (out, alone))
    assert len(expected) == 2
    for here, there in zip(curve, expected, strict=True):
        assert here == pytest.approx(there, rel=1e-5)
    assert metrics == pytest.approx(wanted, rel=1e-5)
    pd.testing.assert_frame_equal(frames, rows, rtol=1e-4)
    # the same prediction whatever the batch, so that only the sums over uneven shards could differ
    (_, metrics, frames), (_, wanted, rows) = (read(root, "climatology") for root in (out, alone))
    assert metrics == pytest.approx(wanted, rel=1e-12)
    pd.testing.assert_frame_equal(frames, rows, rtol=1e-12)
    folder = only(out / "runs", "*-convlstm-*")
    assert folder.name != only(alone / "runs", "*-convlstm-*").name
    spec, environment = (
        yaml.safe_load((folder / "spec.yaml").read_text()),
        json.loads((folder / "environment.json").read_text()),
    )
    assert spec["world_size"] == environment["world_size"] == 2
    assert spec.get("nodes", 1) == environment["nodes"] == nodes
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["loopback", "namespaces"])
def test_two_nodes_with_torchrun(place: str, alone: Path, tmp_path: Path) -> None:
    if place == "namespaces" and no_namespaces():
        pytest.skip(no_namespaces())
    with {"loopback": loopback, "namespaces": namespaces}[place]() as places:
        started = torchrun(places, [*RUN, "--nodes", "2", "--out", str(tmp_path / "two")], tmp_path)
        codes = [process.wait(SECONDS) for process in started]
    said = [(tmp_path / name).read_text() for name in ("err0", "err1", "out0", "out1")]
    assert codes == [0, 0], said
    assert said[2].count("Plan:") == 1
    assert said[3] == "", "only the first process writes"
    same_as_alone(tmp_path / "two", alone, nodes=2)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_node_ends_the_other(victim: int, tmp_path: Path) -> None:
    long = ["run", "--methods", "convlstm", *TINY_CONVLSTM, "--epochs", "300", "--device", "cpu", "--nodes", "2"]
    with loopback() as places:
        started = torchrun(places, [*long, "--out", str(tmp_path / "two")], tmp_path)
        end = time.monotonic() + SECONDS
        while not list(tmp_path.glob("two/runs/*convlstm*/history.jsonl")):
            assert time.monotonic() < end
            time.sleep(0.05)
        agent = started[victim].pid
        worker = int(Path(f"/proc/{agent}/task/{agent}/children").read_text().split()[0])
        started[victim].kill()  # the machine is lost: nobody there tells the other
        os.kill(worker, signal.SIGKILL)
        other = started[1 - victim].wait(120)
    assert other == 1
    told = [line for line in (tmp_path / f"err{1 - victim}").read_text().splitlines() if line.startswith("Error: ")]
    assert told == [
        f"Error: Data-parallel process {victim} of 2 (numbered from 0) is gone. "
        "Finished epochs are kept; repeat the command to continue."
    ]


@pytest.mark.slow
def test_processes_that_torchrun_started_are_not_ignored(tmp_path: Path) -> None:
    with loopback() as places:
        (started,) = torchrun(places[:1], [*RUN, "--out", str(tmp_path / "two")], tmp_path, processes=2)
        assert started.wait(SECONDS) == 1  # torchrun's own
    told = [line for line in (tmp_path / "err0").read_text().splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert "--nnodes=1 --nproc-per-node=2 -m stbench run --methods convlstm,climatology" in told[0]
    assert told[0].endswith("--devices 2")
    assert not (tmp_path / "two").exists()


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    yield from cluster_or_skip()


@pytest.mark.slow
def test_two_tasks_of_a_slurm_step(slurm: dict[str, str], alone: Path, tmp_path: Path) -> None:
    given = command(*RUN, "--devices", "2", "--out", str(tmp_path))
    done = subprocess.run(
        ["srun", "--ntasks=2", "--kill-on-bad-exit=1", *given],
        env=os.environ | slurm, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Plan:") == 1
    assert done.stderr == ""
    same_as_alone(tmp_path, alone, nodes=1)


@pytest.mark.slow
def test_a_batch_script_without_srun_is_refused(slurm: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/bash\n{command()[0]} run --methods tau --dataset moving_digits --out {tmp_path}\n")
    options = ["--wait", "--ntasks=2", f"--output={tmp_path / 'out'}", str(script)]
    done = subprocess.run(["sbatch", *options], env=os.environ | slurm, timeout=SECONDS, check=False)
    assert done.returncode == 2
    said = (tmp_path / "out").read_text()
    assert said.count("\n") == 1
    assert "Use: srun --ntasks-per-node=2 stbench run --methods tau" in said


def test_more_nodes_need_a_launcher(tmp_path: Path) -> None:
    done = stbench("run", "--methods", "tau", "--dataset", "moving_digits", "--nodes", "2", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "torchrun --nnodes=2 --nproc-per-node=1 -m stbench run --methods tau" in done.stderr
