"""Opening of a dataset from the command line: a benchmark or own data, a protocol, and ``--set`` changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stbench.cli import custom

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from stbench.data import Splits
    from stbench.schema import Benchmark, DatasetSpec
    from stbench.sweep.overrides import DataOverrides


@dataclass(frozen=True)
class Chosen:
    """Dataset to open: the benchmark in the protocol's shape, dataset options, and selection rule."""

    benchmark: Benchmark
    dataset: DatasetSpec
    hold_out: bool


def choose(dataset: str, protocol: str, sets: list[str] | None, **own: object) -> Chosen:
    """Return the benchmark, or the user's data by the flags, under a protocol with ``--set`` changes."""
    from stbench.data import dataset_spec, get_protocol, load_benchmark
    from stbench.schema import ClipShape
    from stbench.settings import merge

    named = custom.resolve_dataset(dataset, **own)
    benchmark = load_benchmark(named) if isinstance(named, str) else named
    chosen = get_protocol(benchmark, protocol)
    changes = data_overrides(sets)
    shape = (chosen.shape or benchmark.shape).model_dump()
    spec = dataset_spec(benchmark, chosen)
    return Chosen(
        benchmark.model_copy(update={"shape": ClipShape.parse({**shape, **changes.shape}, "--set shape")}),
        spec.model_copy(update={"options": merge(spec.options, changes.options)}),
        chosen.selection == "validation",
    )


def data_overrides(sets: list[str] | None) -> DataOverrides:
    """Return dataset options (``dataset.KEY``) and sizes of a clip (``shape.KEY``) from ``--set``."""
    from stbench.settings import parse_overrides
    from stbench.sweep.overrides import for_data

    return for_data(parse_overrides(sets))


def open_chosen(chosen: Chosen, data_dir: Path | None) -> Splits:
    """Open the dataset as a run does; decode it if needed."""
    from stbench.data import data_dirs, open_dataset

    with bars() as shown:
        task: list[TaskID] = []

        def progress(done: int, total: int) -> None:
            if not task:
                task.append(shown.add_task("decoding recordings", total=total))
            shown.update(task[0], completed=done)

        name, shape = chosen.benchmark.name, chosen.benchmark.shape
        return open_dataset(name, chosen.dataset, shape, data_dirs(data_dir), chosen.hold_out, progress)


def own_card(dataset: str, **own: object) -> str:
    """What is understood of the user's data, over the card on data of one's own."""
    from stbench.data import card
    from stbench.data.benchmarks.lookup import TEMPLATE
    from stbench.data.readers.recordings import understood_of

    benchmark = custom.resolve_dataset(dataset, **own)
    if isinstance(benchmark, str):
        return card(benchmark)
    options, shape = benchmark.dataset.options, benchmark.shape
    lines = [
        f"# {dataset}",
        f"Clips of {shape.t_in} + {shape.t_out} frames (C, H, W) = {shape.frame}; units: {benchmark.units}.",
        f"Files: {options['listing']['count']} ({', '.join(options['files'])}); scale: {options['scale']}; "
        f"split: {options['split']}.",
        "\n".join(f"* {name}: {text}" for name, text in understood_of(benchmark)),
    ]
    return "\n\n".join([*lines, card(TEMPLATE).replace("# Your own data", "## Your own data", 1)])


def bars() -> Bars:
    """Return progress bars on stderr; hidden if it is not a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    return Bars(console=console, transient=True, disable=not console.is_terminal)
