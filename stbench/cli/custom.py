"""Interpretation of ``--dataset``: a benchmark's name, or a path to the user's own data with flags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.schema import Benchmark

PANEL = "Your own data (--dataset path/to/folder)"
SHARES = "Shares of training, validation and test; default 0.7,0.1,0.2."


def _option(text: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=PANEL, **settings)


TIn = Annotated[int | None, _option("Frames given.", min=1)]
TOut = Annotated[int | None, _option("Frames to predict.", min=1)]
Stride = Annotated[int | None, _option("Frames between the starts of consecutive clips.", min=1)]
Split = Annotated[str | None, _option(SHARES, metavar="A,B,C")]
Size = Annotated[str | None, _option("Resize frames to cover this size, then crop.", metavar="HxW")]
Variable = Annotated[
    list[str] | None,
    _option("Which array of an npz, HDF5 or NetCDF file; given several times, each is a channel.", metavar="NAME"),
]
Layout = Annotated[
    str | None,
    _option("Axes of an array in their order: N clips, T time, C channels, L level, H, W.", metavar="LETTERS"),
]
Level = Annotated[float | None, _option("Which level of a variable with levels, as its coordinate names it.")]
Fill = Annotated[
    float | None,
    _option("Put this in place of missing values, scored like data; else these cells do not count."),
]
Scale = Annotated[str | None, _option("unit (bytes), minmax or zscore, learned from the training frames.")]


def resolve_dataset(dataset: str, **flags: Any) -> str | Benchmark:
    """Return the benchmark's name, or the benchmark made from a path; ``flags`` that were not given are None.

    Raises:
        UserError: flags for own data with a benchmark's name, an unknown name, or a value that cannot be parsed.
    """
    from stbench.data.benchmarks.lookup import is_path, load_benchmark

    given = {name: value for name, value in flags.items() if value is not None and value != []}
    if not is_path(dataset):
        if given:
            listing = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UserError(
                f"{listing}: only for your own data (--dataset path/to/folder); {dataset!r} is a benchmark's name, "
                "whose protocol fixes this. Change a protocol's dataset options with --set dataset.KEY=VALUE."
            )
        load_benchmark(dataset)  # reports an unknown name at once, before slow imports
        return dataset
    from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark

    if "split" in given:
        given["shares"] = _shares(given.pop("split"))
    if "size" in given:
        given["size"] = _size(given["size"])
    return custom_benchmark(dataset, CustomOptions.parse(given, "flags for own data"))


def _shares(text: str) -> tuple[float, ...]:
    from stbench.data.benchmarks.own_data import add_up

    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not add_up(shares):
        raise UserError(
            f"--split {text!r}: expected three shares between 0 and 1 that add up to 1, for training, validation and "
            "test, as 0.7,0.1,0.2."
        )
    return shares


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if found is None:
        raise UserError(f"--size {text!r}: expected height x width in pixels, as 64x96.")
    return int(found[1]), int(found[2])
