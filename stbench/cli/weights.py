"""``stbench weights``: list and fetch weights that others released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.getting import AllowHttp, Yes, bring
from stbench.cli.plain import listing_console, print_table
from stbench.errors import UserError, counted, unknown_name

if TYPE_CHECKING:
    from stbench.data.benchmarks.released import Released

app = typer.Typer(
    help="List and fetch released weights; 'stbench evaluate --weights' scores them.", no_args_is_help=True
)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")]


@app.command("list")
def list_weights(
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Weights of this benchmark only.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="Weights of this method only, e.g. tau or simvp:gsta.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """List released weights: method, training, size, whether they are here, and the MSE that was stated for them."""
    from stbench.data.benchmarks.downloads import readable
    from stbench.data.benchmarks.folders import data_dirs

    dirs = data_dirs(data_dir)
    rows = []
    for item in _matching(dataset, method):
        path = item.folder(dirs) / item.checkpoint.file
        size = path.stat().st_size if path.is_file() else item.checkpoint.size
        figures = item.figures(dirs)
        metric = next(iter(item.release.metrics.values()))
        known = figures is not None and metric in figures.values
        stated = f"{metric} {figures.values[metric]:.6g} ({figures.source})" if figures and known else "–"
        names = [item.full_name, item.checkpoint.method or "not in stbench", item.release.training]
        rows.append([*names, "unknown" if size is None else readable(size), "yes" if path.is_file() else "no", stated])
    print_table(listing_console(), ["name", "method", "training", "size", "here", "stated"], rows)


@app.command("get")
def get_weights(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="E.g. openstl/taxibj/tau.")],
    origin: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="A local folder, or the URL of a mirror.")
    ] = None,
    data_dir: DataDir = None,
    yes: Yes = False,
    allow_http: AllowHttp = False,
) -> None:
    """Download released weights and their training logs into the data folder."""
    from stbench.data.benchmarks.folders import data_dirs
    from stbench.data.benchmarks.released import find_released

    dirs = data_dirs(data_dir)
    wanted = [find_released(name) for name in dict.fromkeys(names)]
    for item in wanted:
        bring(item.downloads, item.folder(dirs), origin, yes=yes, allow_http=allow_http)
    print(
        f"{counted(len(wanted), 'file')} of weights in {', '.join(dict.fromkeys(str(i.folder(dirs)) for i in wanted))}"
    )


def _matching(dataset: str | None, method: str | None) -> list[Released]:
    """Return the released weights of a benchmark and a method.

    Raises:
        UserError: there are none.
    """
    from stbench.data.benchmarks.lookup import BENCHMARKS
    from stbench.data.benchmarks.released import all_released, released_of

    if dataset is not None and dataset not in BENCHMARKS.names():
        raise unknown_name("benchmark", dataset, BENCHMARKS.names())
    found = list(all_released() if dataset is None else released_of(dataset))
    if dataset is not None and not found:
        with_weights = ", ".join(dict.fromkeys(item.benchmark for item in all_released()))
        raise UserError(f"No weights of {dataset} are known. Benchmarks with released weights: {with_weights}.")
    chosen = [item for item in found if method is None or _is_of(item, method)]
    if method is not None and not chosen:
        methods = dict.fromkeys(name for item in found for name in (item.checkpoint.method, item.name) if name)
        raise unknown_name("method with released weights", method, methods)
    return chosen


def _is_of(item: Released, method: str) -> bool:
    own = item.checkpoint.method or ""
    return method in (own, own.partition(":")[0], item.name)
