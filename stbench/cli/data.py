"""``stbench data``: fetch, prepare, check, describe and preview a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stbench.cli import custom
from stbench.cli.getting import AllowHttp, Yes, get
from stbench.cli.opened import choose, data_overrides, open_chosen, own_card
from stbench.errors import UserError, counted
from stbench.report.encode import visible

app = typer.Typer(
    help="Fetch, prepare, check, describe and preview a dataset (a benchmark's name, or your own folder).",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="DATASET", help="Benchmark name, or your own folder.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Protocol for frame size, lengths and split.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="E.g. dataset.stride=5, dataset.augment.crop=0.9 or shape.t_in=2."),
]


@app.command("get")
def get_command(
    dataset: Name,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="A local folder, or the URL of a mirror.")
    ] = None,
    data_dir: DataDir = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Form of the data if there are several, e.g. films for kth.")
    ] = None,
    yes: Yes = False,
    allow_http: AllowHttp = False,
    set_: Sets = None,
) -> None:
    """Download files with a direct link, or copy them from a folder; print how to get the rest."""
    from stbench.data import card, data_dirs, load_benchmark, needs_files
    from stbench.data.benchmarks.lookup import is_path

    if is_path(dataset):
        print(f"{dataset}: your own data are read in place; there is nothing to fetch.")
        return
    benchmark = load_benchmark(dataset)
    if not needs_files(benchmark):
        print(f"{dataset} needs no files.")
        return
    place = data_dirs(data_dir)[0]
    changes = data_overrides(set_).options
    if not get(benchmark, place, origin, source, changes, yes=yes, allow_http=allow_http):
        steps = card(dataset).partition("## Getting it")[2].partition("\n## ")[0].strip()
        print(f"Nothing of {dataset} has a direct link. By hand:\n\n{steps}\n\nPut the files into {place / dataset},")
        print(f"or run stbench data get {dataset} --from FOLDER; then stbench data check {dataset}")


@app.command("prepare")
def prepare_command(
    dataset: Name,
    protocol: ProtocolName = "paper",
    data_dir: DataDir = None,
    set_: Sets = None,
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
    """Decode the frames once into the frame cache."""
    own = {"t_in": t_in, "t_out": t_out, "stride": stride, "split": split, "size": size, "level": level, "fill": fill}
    chosen = choose(dataset, protocol, set_, **own, variable=variable, layout=layout, scale=scale)
    splits = open_chosen(chosen, data_dir)
    print(visible(splits.report))
    print(f"frame cache: {splits.frame_cache or 'none, this reader does not use it'}")


@app.command("check")
def check_command(
    dataset: Name,
    protocol: ProtocolName = "paper",
    data_dir: DataDir = None,
    set_: Sets = None,
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
    """Check files, hashes, shapes, values, dates, counts and leakage; exit code 2 if a check fails."""
    own = {"t_in": t_in, "t_out": t_out, "stride": stride, "split": split, "size": size, "level": level, "fill": fill}
    chosen = choose(dataset, protocol, set_, **own, variable=variable, layout=layout, scale=scale)

    from stbench.data import data_dirs  # after the choice: a mistake in it does not wait for torch
    from stbench.data.benchmarks.download_list import downloads_of
    from stbench.data.dataset import reader_options
    from stbench.data.inspect.check import check_files, check_splits

    benchmark = chosen.benchmark
    also = reader_options(benchmark.name, chosen.dataset).folders
    shipped = benchmark.name == dataset
    found = check_files(dataset, data_dirs(data_dir), also, downloads_of(dataset)) if shipped else []
    try:
        found += check_splits(open_chosen(chosen, data_dir), benchmark, chosen.hold_out)
    finally:
        for item in found:
            print(visible(f"{'ok ' if item.good else 'BAD'}  {item.what}: {item.seen}"))
    bad = [item.what for item in found if not item.good]
    if bad:
        raise UserError(f"{dataset}: {len(bad)} of {len(found)} checks failed: {', '.join(bad)}.")
    print(f"{dataset}: all checks passed ({counted(len(found), 'check')}).")


@app.command("info")
def info_command(
    dataset: Name,
    variable: custom.Variable = None,
    layout: custom.Layout = None,
    level: custom.Level = None,
) -> None:
    """Print the card: what it is, units, licence, citation, splits; for your own data, what is understood of them."""
    from rich.console import Console
    from rich.markdown import Markdown

    from stbench.data import card
    from stbench.data.benchmarks.lookup import is_path

    own = {"variable": variable, "layout": layout, "level": level}
    text = own_card(dataset, **own) if is_path(dataset) else card(dataset)
    console = Console()
    console.print(Markdown(text)) if console.is_terminal else print(text)


@app.command("preview")
def preview_command(
    dataset: Name,
    out: Annotated[Path, typer.Option(help="Output folder for the pictures.")] = Path("preview"),
    protocol: ProtocolName = "paper",
    data_dir: DataDir = None,
    set_: Sets = None,
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
    """Write a contact sheet (PNG) and an animation (GIF) of a few clips of each split."""
    own = {"t_in": t_in, "t_out": t_out, "stride": stride, "split": split, "size": size, "level": level, "fill": fill}
    chosen = choose(dataset, protocol, set_, **own, variable=variable, layout=layout, scale=scale)

    from stbench.data.inspect.preview import write_preview  # after the choice: a mistake in it does not wait for torch

    for path in write_preview(open_chosen(chosen, data_dir), chosen.benchmark, out):
        print(path)
