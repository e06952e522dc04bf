"""``stbench verify``: check that a bundle's tables, marks and intervals follow from the runs in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.run import Device
from stbench.errors import UserError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXIT_DIFFERENT = 1
MOST_LINES = 50


def verify_command(
    bundle: Annotated[Path, typer.Argument(help="Folder made by 'stbench report RUNS --bundle --out DIR'.")],
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Also score the weights in the bundle again on the data.")
    ] = False,
    device: Annotated[Device, typer.Option(help="For --rescore; auto uses CUDA if available.")] = Device.AUTO,
    data_dir: Annotated[
        Path | None, typer.Option(help="For --rescore: folder of the data; default: $STBENCH_DATA.")
    ] = None,
) -> None:
    """Make every cell, mark and interval of a bundle again from its values per sequence, and check its hashes.

    Exit code: 0 if all is as recorded, 1 if something differs (each difference is named), 2 for a folder that is no
    bundle or not safe to read.
    """
    from rich.console import Console

    from stbench.report.bundle.verify import verify
    from stbench.report.encode import terminal

    console = Console()

    def tell(text: str) -> None:
        console.print(terminal(text), highlight=False, soft_wrap=True)

    verdict = verify(bundle)
    problems = list(verdict.problems)
    if rescore and not problems:
        problems += _rescored(bundle, device.value, data_dir, tell)
    for problem in problems[:MOST_LINES]:
        tell(problem)
    if len(problems) > MOST_LINES:
        tell(f"… and {len(problems) - MOST_LINES} more")
    seen = [(verdict.files, "file"), (verdict.runs, "run"), (verdict.scores, "score"), (verdict.cells, "cell")]
    compared = ", ".join(counted(*pair) for pair in seen)
    tell(f"{bundle}: {compared} compared; {counted(len(problems), 'difference')}")
    if problems:
        raise typer.Exit(EXIT_DIFFERENT)


def _rescored(bundle: Path, device: str, data_dir: Path | None, tell: Callable[[str], None]) -> Iterator[str]:
    """Score runs again; yield one line per score that differs or run that cannot be scored."""
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.report.bundle.pack import RUNS
    from stbench.report.collect.records import collect
    from stbench.sweep.weights import rescore
    from stbench.train.engine import Engine

    for record in collect([bundle / RUNS]).records:
        if not record.finished:
            continue
        if not any(record.folder.checkpoints.glob("best-*")):
            tell(f"{record.name}: not scored again, its weights are not in the bundle")
            continue
        try:
            result = rescore(record.folder.path, data_dirs(data_dir), Engine.of_run(record.spec, device))  # type: ignore[arg-type]
        except UserError as error:
            yield f"{record.name}: cannot be scored again: {error}"
            continue
        if not result.same_data:
            yield f"{record.name}: the data files differ from those on which it was scored"
        for line in result.lines:
            if not line.equal:
                yield f"{record.name}: {line.metric} is {line.recorded!r}, scored again {line.now!r}"
        tell(f"{record.name}: scored again")
