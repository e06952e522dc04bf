"""Benchmark look-up: entry-point group ``stbench.benchmarks``, one package (a folder) per benchmark.

A benchmark's folder contains ``protocol.yaml``, ``README.md`` (its card) and, if numbers are published,
``published.csv``. This module does not import torch.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stbench.data.benchmarks.protocols import read_benchmark
from stbench.errors import UserError, unknown_name
from stbench.registry import Registry
from stbench.schema import Benchmark, DatasetSpec, Protocol
from stbench.settings import merge, read_yaml

if TYPE_CHECKING:
    import pandas as pd


def _check_benchmark(plugin: Any) -> None:
    if not isinstance(plugin, ModuleType | Path):
        raise TypeError(f"expected a package or a folder that holds protocol.yaml, got {plugin!r}")


FAMILIES = "_families"
TEMPLATE = "custom"  # the template for a user's own data; it is not a dataset
BENCHMARKS: Registry[ModuleType | Path] = Registry(
    "benchmark", "stbench.benchmarks", _check_benchmark, hidden={TEMPLATE}
)


def is_path(dataset: str) -> bool:
    """Return whether ``--dataset`` is a path: it has a separator or a dot, or begins with ``~``."""
    return any(mark in dataset for mark in ("/", "\\", ".")) or dataset.startswith("~")


def load_benchmark(name: str) -> Benchmark:
    """Read and check a benchmark's ``protocol.yaml``.

    Raises:
        UserError: unknown name, or a file that is missing, is not YAML, or has a wrong key or value (both named).
    """
    if name == TEMPLATE:
        raise UserError(
            f"{name!r} is the template for data of your own, not a dataset. Name their folder or file instead, "
            "e.g. --dataset path/to/folder ('stbench data info custom' says what can be read)."
        )
    return _load(name)


def load_template() -> Benchmark:
    """Return the template benchmark for a user's own data."""
    return _load(TEMPLATE)


def _load(name: str) -> Benchmark:
    return read_benchmark(benchmark_folder(name), families_folder())


def families_folder() -> Traversable:
    """Return the folder of shared fragments that ``include`` names, beside the shipped benchmarks."""
    template = BENCHMARKS.get(TEMPLATE)
    if isinstance(template, Path):
        return template.parent / FAMILIES
    return files(template.__name__.rpartition(".")[0]) / FAMILIES


def get_protocol(benchmark: Benchmark, name: str) -> Protocol:
    """Return a protocol of a benchmark.

    Raises:
        UserError: the benchmark has no such protocol (near miss suggested).
    """
    if name not in benchmark.protocols:
        raise unknown_name(f"protocol of {benchmark.name}", name, benchmark.protocols)
    return benchmark.protocols[name]


def dataset_spec(benchmark: Benchmark, protocol: Protocol) -> DatasetSpec:
    """Return the benchmark's reader with its options, merged with the protocol's overrides."""
    options = merge(benchmark.dataset.options, protocol.dataset)
    return DatasetSpec(reader=benchmark.dataset.reader, options=options)


def needs_files(benchmark: Benchmark) -> bool:
    """Return whether the benchmark needs data files: its dataset options name ``files``."""
    from stbench.data.dataset import ReaderOptions  # late: looking a benchmark up needs no numpy

    return bool(ReaderOptions.read_common(benchmark.dataset.options, f"{benchmark.name}: dataset.options").files)


def benchmark_forms(name: str) -> list[dict[str, Any]]:
    """Options in which further forms of a benchmark's data differ, as its ``forms.yaml`` lists them; else empty."""
    file = benchmark_folder(name) / "forms.yaml" if name in BENCHMARKS.names() else None
    return list(read_yaml(file, list)) if file is not None and file.is_file() else []


def published_table(name: str) -> pd.DataFrame | None:
    """Return published numbers with their source, one row per method and table, or None."""
    import pandas as pd

    file = benchmark_folder(name) / "published.csv"
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as stream:
        return pd.read_csv(stream)


def card(name: str) -> str:
    """Return the benchmark's card (Markdown): description, units, licence, how to get it, conventions."""
    file = benchmark_folder(name) / "README.md"
    if not file.is_file():
        raise UserError(f"The benchmark {name!r} has no card: {file} is missing.")
    return file.read_text(encoding="utf-8")


def benchmark_folder(name: str) -> Traversable:
    """Return the folder of a benchmark's files.

    Raises:
        UserError: the name is unknown (a file or folder of that name is pointed out).
    """
    if name not in (*BENCHMARKS.names(), TEMPLATE) and Path(name).exists():
        raise UserError(
            f"Unknown benchmark {name!r}, but there is a {'folder' if Path(name).is_dir() else 'file'} of that name. "
            f"For data of your own write a path: did you mean ./{name}? Benchmarks: {', '.join(BENCHMARKS.names())}."
        )
    plugin = BENCHMARKS.get(name)
    return plugin if isinstance(plugin, Path) else files(plugin)
