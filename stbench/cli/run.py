"""``stbench run``: train and score methods on datasets under protocols, and print the table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stbench.cli import custom
from stbench.cli.completion import complete
from stbench.cli.getting import AllowHttp
from stbench.sweep.executors import DEFAULT_EXECUTOR


class Device(StrEnum):
    """Devices."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class PrecisionOption(StrEnum):
    """Precision of the forward and backward pass."""

    FP32 = "32"
    BF16 = "bf16"


class Encoder(StrEnum):
    """Frame encoder and decoder of methods."""

    PAPER = "paper"
    SHARED = "shared"


ProtocolName = Annotated[str, typer.Option(help="paper | legacy (selects on test) | quick (minutes on a CPU).")]
BudgetText = Annotated[str | None, typer.Option(help="Train every method for the same 10min, 1e15MACs or 20epochs.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="e.g. tau.lr=1e-3, tau.hid_t=128, epochs=3, dataset.stride=5."),
]
ExecutorName = Annotated[str, typer.Option(help="Executor of the runs: local, processes, or an installed one.")]
ExecutorSets = Annotated[
    list[str] | None,
    typer.Option("--executor-set", metavar="KEY=VALUE", help="Setting of the executor, e.g. threads=1."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: train for more than 2 h, download more than 5 GB.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Runs at once: short for --executor processes --executor-set jobs=N.")
]


def run_command(
    ctx: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", help="Benchmark name, or a folder of your own.", autocompletion=complete("benchmarks")
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            "-m",
            help="Comma-separated names, e.g. tau,predrnn,tau:no_sa.",
            autocompletion=complete("methods"),
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Experiment file, or a run's spec.yaml; options override it.")
    ] = None,
    protocol: ProtocolName = "paper",
    seeds: Annotated[str, typer.Option(help="One run each: 0,1,2 or 0..2.")] = "0",
    epochs: Annotated[int | None, typer.Option(min=1, help="Overrides the protocol's.")] = None,
    budget: BudgetText = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch size; overrides the protocol's.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Stop after this many epochs without progress.")] = None,
    set_: Sets = None,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, max=128, help="Data-parallel processes on each machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=1024, help="Machines; torchrun or srun starts the command.")] = 1,
    precision: Annotated[PrecisionOption | None, typer.Option(help="32 or bf16 autocast.")] = None,
    encoder: Annotated[Encoder, typer.Option(help="The encoder of each paper, or one for all.")] = Encoder.PAPER,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Loader processes.")] = 0,
    out: Annotated[Path, typer.Option(help="Output folder: OUT/runs/ for runs, OUT/ for the table.")] = Path("results"),
    log: Annotated[list[str] | None, typer.Option(help="Live curves: csv,tensorboard,mlflow,wandb.")] = None,
    executor: ExecutorName = DEFAULT_EXECUTOR,
    name: Annotated[str | None, typer.Option(help="Name of the experiment, written into its run folders.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the run folders, for 'stbench runs'.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Download missing files first.")] = False,
    yes: Yes = False,
    allow_http: AllowHttp = False,
    executor_set: ExecutorSets = None,
    jobs: Jobs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    no_test: Annotated[bool, typer.Option("--no-test", help="Train and validate; leave the test split alone.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Repeat failed runs.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Repeat finished runs; old folders stay, hidden.")] = False,
    t_in: custom.TIn = None,
    t_out: custom.TOut = None,
    stride: custom.Stride = None,
    split: custom.Split = None,
    size: custom.Size = None,
    variable: custom.Variable = None,
    layout: custom.Layout = None,
    level: custom.Level = None,
    fill: custom.Fill = None,
    scale: custom.Scale = None,
) -> None:
    """Train and score methods on datasets under protocols; repeat the command to resume.

    Exit code: 0 if all runs finished, 1 if one failed, is unfinished or is run by another process, 2 for a mistake,
    130 if stopped.
    """
    options = {key: value for key, value in locals().items() if key != "ctx"}
    from stbench.cli.launch import launch, stated

    launch(options, stated(ctx))
