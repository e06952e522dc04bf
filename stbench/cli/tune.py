"""``stbench tune``: search settings of several methods at equal budget, on validation alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stbench.cli import custom
from stbench.cli.completion import complete
from stbench.cli.getting import AllowHttp
from stbench.cli.run import Device, Encoder, ExecutorName, ExecutorSets, Jobs, PrecisionOption, ProtocolName, Sets, Yes
from stbench.sweep.executors import DEFAULT_EXECUTOR


class Sampler(StrEnum):
    """How settings are proposed."""

    TPE = "tpe"
    RANDOM = "random"


class Pruner(StrEnum):
    """How trials are given up early."""

    ASHA = "asha"
    NONE = "none"


def tune_command(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", help="Benchmark name, or a folder of your own.", autocompletion=complete("benchmarks")
        ),
    ],
    methods: Annotated[
        str, typer.Option("--methods", "-m", help="Comma-separated names.", autocompletion=complete("methods"))
    ],
    space: Annotated[Path, typer.Option(help="YAML file of the settings to vary: docs/tune.md.")],
    trials: Annotated[int | None, typer.Option(min=1, max=10_000, help="Trials of every method.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="In place of --trials: 2h, 1e16MACs or 200epochs for all trials of a method.")
    ] = None,
    protocol: ProtocolName = "paper",
    seeds: Annotated[str, typer.Option(help="Of the final runs, other than the trials' own.")] = "1..3",
    trial_seed: Annotated[int, typer.Option(min=0, help="Seed of all trials and of the search.")] = 0,
    sampler: Annotated[Sampler, typer.Option(help="tpe models the trials so far; random draws.")] = Sampler.TPE,
    pruner: Annotated[Pruner, typer.Option(help="asha gives up trials that are behind.")] = Pruner.ASHA,
    no_final: Annotated[bool, typer.Option("--no-final", help="Search only; leave the test split alone.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of every run; overrides the protocol's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Global batch size; overrides the protocol's.")] = None,
    precision: Annotated[PrecisionOption | None, typer.Option(help="32 or bf16 autocast.")] = None,
    encoder: Annotated[Encoder, typer.Option(help="The encoder of each paper, or one for all.")] = Encoder.PAPER,
    set_: Sets = None,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")] = None,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Loader processes.")] = 0,
    out: Annotated[Path, typer.Option(help="Output folder: OUT/tune/ for the search, OUT/ for the final runs.")] = Path(
        "results"
    ),
    executor: ExecutorName = DEFAULT_EXECUTOR,
    executor_set: ExecutorSets = None,
    jobs: Jobs = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Trials proposed at once; default: the runs an executor does at once.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Download missing files first.")] = False,
    yes: Yes = False,
    allow_http: AllowHttp = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and its cost, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
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
    """Search settings at equal budget, on validation alone; repeat the command to resume.

    Then train the best settings with new seeds and score them on test. Exit codes are those of 'stbench run'.
    """
    options = {key: value for key, value in locals().items() if key != "ctx"}
    from stbench.cli.launch import stated
    from stbench.cli.tuning import tune

    tune(options, stated(ctx))
