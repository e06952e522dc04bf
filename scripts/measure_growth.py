"""Time and peak memory of ``stbench report`` over many synthetic run folders.

    python scripts/measure_growth.py --runs 300 --sequences 100000 --folder /tmp/growth

Makes the folders as scoring writes them (runs of one method share the bytes of their files of values by hard links, so
the disk holds one per method), then runs the report in a process of its own and prints its seconds and its largest
resident set. Folders that are there already are used again.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stbench.evaluate.sequences import SequenceWriter
from stbench.metrics import get_metric
from stbench.schema import RunResult, RunSpec, Score
from stbench.schema.folder import RunFolder
from stbench.schema.sequences import BLOCKED, FILE
from stbench.sweep.plan import Request, make_plan
from stbench.train.engine import Engine

SEEDS = 10
BATCH = 10_000


def specs_of(runs: int) -> list[RunSpec]:
    """Return specs of a trained method in several sizes, ``SEEDS`` seeds each."""
    widths = range(1, -(-runs // SEEDS) + 1)
    found: list[RunSpec] = []
    for width in widths:
        name = f"convlstm:hidden=[{width}]"
        plan = make_plan(Request([name], "moving_digits", "quick", range(SEEDS)))
        found += [spec for spec in plan.specs if spec.training is not None]
    return found[:runs]


def statistics_of(metric: str, clips: int, spec: RunSpec, rng: np.random.Generator) -> list[Tensor]:
    """Return random statistics of a metric, (B, T) each."""
    parts = len(get_metric(metric).parts) or 1
    return [torch.from_numpy(rng.random((clips, spec.shape.t_out))) for _ in range(parts)]


def make_folders(root: Path, specs: list[RunSpec], sequences: int) -> None:
    """Write complete run folders with random values."""
    rng = np.random.default_rng(0)
    files: dict[str, RunFolder] = {}
    for spec in specs:
        folder = RunFolder(root / spec.folder)
        folder.create(spec)
        names = spec.evaluation.metrics
        if spec.method in files:
            for name in (FILE, BLOCKED):
                if files[spec.method].file(name).exists():
                    os.link(files[spec.method].file(name), folder.file(name))
        else:
            with SequenceWriter(folder, names, Engine("cpu")) as writer:
                for start in range(0, sequences, BATCH):
                    batch = np.arange(start, min(start + BATCH, sequences))
                    writer.write(batch, {name: statistics_of(name, len(batch), spec, rng) for name in names})
            files[spec.method] = folder
        lead = tuple(float(value) for value in rng.random(spec.shape.t_out))
        folder.write_result(
            RunResult(
                run_id=spec.run_id,
                method=spec.method,
                benchmark=spec.benchmark,
                protocol=spec.protocol,
                seed=spec.seed,
                status="finished",
                test={name: Score(total=float(np.mean(lead)), lead_times=lead) for name in names},
                test_clips=sequences,
                data_fingerprint="synthetic",
            )
        )


def main() -> None:
    """Make the folders and measure the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--format", default="", help="as of the report; its default includes page and figures")
    parser.add_argument("--folder", type=Path, required=True, help="folder for the runs and the report")
    options = parser.parse_args()
    root = options.folder / "runs"
    specs = specs_of(options.runs)
    if not root.exists():
        make_folders(root, specs, options.sequences)
    folders = [RunFolder(root / spec.folder) for spec in specs]
    found = [one.result().test_clips if one.is_complete else None for one in folders]
    if set(found) != {options.sequences} or len(list(root.iterdir())) != len(specs):
        sys.exit(f"{root} holds other runs. Give another folder with --folder.")
    command = [str(Path(sys.executable).with_name("stbench")), "report", str(root)]
    formats = ["--format", options.format] if options.format else []
    begun = time.perf_counter()
    subprocess.run([*command, *formats, "--out", str(options.folder / "report")], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{options.runs} runs, {options.sequences} sequences: {seconds:.1f} s, peak {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
