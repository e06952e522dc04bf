"""``stbench data``: fetch, prepare, check, describe and look at a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.custom import resolve_dataset
from stbench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from stbench.data import Dataset
    from stbench.schema import Benchmark

app = typer.Typer(
    help="Fetch, prepare, check, describe and look at a dataset (a benchmark's name, or a folder of your own).",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="DATASET", help="Benchmark name, or a folder of your own.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Whose frame size, lengths and split to use.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data files; else $STBENCH_DATA.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A dataset option, e.g. stride=5.")]


@app.command("get")
def get_command(
    dataset: Name,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="A local folder, or a mirror's address.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Download what has a direct link, or take it from a folder; say how to get the rest."""
    from stbench.data import card, data_dirs, load_benchmark, needs_files
    from stbench.data.downloads import downloads_of, fetch

    benchmark = load_benchmark(dataset)
    if not needs_files(benchmark):
        print(f"{dataset} needs no files.")
        return
    target = data_dirs(data_dir)[0] / dataset
    downloads = downloads_of(dataset)
    linked = downloads if origin is not None else tuple(item for item in downloads if item.url is not None)
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        for line in fetch(linked, target, origin, progress):
            print(line)
    if not linked:
        steps = card(dataset).partition("## Getting it")[2].partition("\n## ")[0].strip()
        print(f"Nothing of {dataset} has a direct link. By hand:\n\n{steps}\n\nPut the files into {target}, then run")
        print(f"stbench data check {dataset}")


@app.command("prepare")
def prepare_command(
    dataset: Name, protocol: ProtocolName = "paper", data_dir: DataDir = None, set_: Sets = None
) -> None:
    """Decode once into memory-mapped arrays; a second time finds them done."""
    opened, _ = _open(dataset, protocol, data_dir, set_)
    place = getattr(opened, "prepared", None)
    print(opened.report)
    print(f"prepared in {place.path}" if place is not None else "nothing to decode: the files are read directly")


@app.command("check")
def check_command(dataset: Name, protocol: ProtocolName = "paper", data_dir: DataDir = None, set_: Sets = None) -> None:
    """Check files, hashes, shapes, values, dates, counts and leakage; exit code 2 when something is wrong."""
    from stbench.data import data_dirs
    from stbench.data.check import check_dataset, check_files
    from stbench.data.downloads import downloads_of

    benchmark = _benchmark(dataset, protocol)
    also = benchmark.dataset.options.get("folders", ())
    shipped = benchmark.name == dataset
    findings = check_files(dataset, data_dirs(data_dir), also, downloads_of(dataset)) if shipped else []
    try:
        opened, benchmark = _open(dataset, protocol, data_dir, set_)
        findings += check_dataset(opened, benchmark)
    finally:
        for finding in findings:
            print(f"{'ok ' if finding.good else 'BAD'}  {finding.what}: {finding.seen}")
    bad = [finding.what for finding in findings if not finding.good]
    if bad:
        raise UserError(f"{dataset}: {len(bad)} of {len(findings)} checks failed: {', '.join(bad)}.")
    print(f"{dataset}: in order ({len(findings)} checks).")


@app.command("info")
def info_command(dataset: Name) -> None:
    """Print the card: what it is, units, licence, citation, splits, how to get it, published numbers."""
    from rich.console import Console
    from rich.markdown import Markdown

    from stbench.data import card

    text = card(dataset)
    console = Console()
    console.print(Markdown(text)) if console.is_terminal else print(text)


@app.command("preview")
def preview_command(
    dataset: Name,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("preview"),
    protocol: ProtocolName = "paper",
    data_dir: DataDir = None,
    set_: Sets = None,
) -> None:
    """Write a contact sheet (PNG) and an animation (GIF) of a few clips of each split."""
    from stbench.data.preview import write_preview

    opened, benchmark = _open(dataset, protocol, data_dir, set_)
    for path in write_preview(opened, benchmark, out):
        print(path)


def _benchmark(dataset: str, protocol: str) -> Benchmark:
    """The benchmark with the protocol's shape."""
    from stbench.data import get_protocol, load_benchmark

    chosen = resolve_dataset(dataset)
    benchmark = load_benchmark(chosen) if isinstance(chosen, str) else chosen
    shape = get_protocol(benchmark, protocol).shape
    return benchmark if shape is None else benchmark.model_copy(update={"shape": shape})


def _open(dataset: str, protocol: str, data_dir: Path | None, sets: list[str] | None) -> tuple[Dataset, Benchmark]:
    """Read (and where needed decode) the dataset as a run under this protocol would."""
    import yaml

    from stbench.data import build_dataset, data_dirs, dataset_spec, get_protocol

    benchmark = _benchmark(dataset, protocol)
    chosen = get_protocol(benchmark, protocol)
    spec = dataset_spec(benchmark, chosen)
    options = dict(spec.options)
    for text in sets or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text!r}: expected KEY=VALUE, e.g. --set stride=5.")
        options[key.strip().removeprefix("dataset.")] = yaml.safe_load(value)
    with _bars() as bars:
        task: list[TaskID] = []

        def progress(done: int, total: int) -> None:
            if not task:
                task.append(bars.add_task("decoding recordings", total=total))
            bars.update(task[0], completed=done)

        opened = build_dataset(
            benchmark.name,
            spec.model_copy(update={"options": options}),
            benchmark.shape,
            data_dirs(data_dir),
            chosen.selection == "validation",
            progress,
        )
    return opened, benchmark


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
