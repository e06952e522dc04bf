"""``stbench export``: write a finished run as a program that needs no stbench."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stbench.cli.target import target
from stbench.report.encode import visible


class ExportFormat(StrEnum):
    """Kinds of programs."""

    TORCH_EXPORT = "torch_export"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


def export_command(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    format_: Annotated[ExportFormat, typer.Option("--format", help="torch_export (.pt2), torchscript (.pt) or onnx.")],
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: model.pt2, .pt or .onnx in the run folder.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65536, help="Number of clips per call.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output file.")] = False,
) -> None:
    """Write a run as a program from past to future frames in physical units, checked against its predictions."""
    from stbench.evaluate.export import SUFFIXES, export_run
    from stbench.schema.folder import finished_run

    file = output or finished_run(run).file(f"model{SUFFIXES[format_.value]}")
    done = export_run(run, format_.value, target(file, overwrite), batch)
    shapes = " -> ".join("x".join(map(str, shape)) for shape in (done.past, done.future))
    typer.echo(
        visible(
            f"{done.file}: {shapes} float32; differs from the method by {done.difference:.1e} of the largest value "
            f"({done.recorded} recorded predictions compared)"
        )
    )
