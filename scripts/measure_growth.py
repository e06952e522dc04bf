"""Time and peak memory of ``stbench report`` over many synthetic run folders.

    python scripts/measure_growth.py --runs 300 --sequences 100000 --folder /tmp/growth

Makes the folders (runs of one method share the bytes of their file of values by hard links, so the disk holds one per
method), runs the report in a process of its own, and prints its seconds and its largest resident set.
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
import pandas as pd

from stbench.schema import RunResult, RunSpec, Score
from stbench.schema.folder import RunFolder
from stbench.sweep.plan import Request, make_plan

SEEDS = 10


def specs_of(runs: int) -> list[RunSpec]:
    """Return specs of a trained method in several sizes, ``SEEDS`` seeds each."""
    widths = range(1, -(-runs // SEEDS) + 1)
    found: list[RunSpec] = []
    for width in widths:
        name = f"convlstm:hidden=[{width}]"
        plan = make_plan(Request([name], "moving_digits", "quick", range(SEEDS)))
        found += [spec for spec in plan.specs if spec.training is not None]
    return found[:runs]


def make_folders(root: Path, specs: list[RunSpec], sequences: int) -> None:
    """Write complete run folders with random values."""
    rng = np.random.default_rng(0)
    files: dict[str, Path] = {}
    for spec in specs:
        folder = RunFolder(root / spec.folder)
        folder.create(spec)
        names = spec.evaluation.metrics
        values = folder.file("per_sequence.parquet")
        if spec.method in files:
            os.link(files[spec.method], values)
        else:
            columns = {"sequence": np.repeat(np.arange(sequences), spec.shape.t_out)}
            columns["lead_time"] = np.tile(np.arange(1, spec.shape.t_out + 1), sequences)
            frame = pd.DataFrame(columns | {name: rng.random(len(columns["sequence"])) for name in names})
            frame.to_parquet(values)
            files[spec.method] = values
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
    parser.add_argument("--format", default="md,csv")
    parser.add_argument("--folder", type=Path, required=True, help="new folder for the runs and the report")
    options = parser.parse_args()
    root = options.folder / "runs"
    if root.exists():
        sys.exit(f"{root} exists. Give a new folder with --folder.")
    make_folders(root, specs_of(options.runs), options.sequences)
    command = [str(Path(sys.executable).with_name("stbench")), "report", str(root)]
    begun = time.perf_counter()
    subprocess.run(
        [*command, "--format", options.format, "--out", str(options.folder / "report")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{options.runs} runs, {options.sequences} sequences: {seconds:.1f} s, peak {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
