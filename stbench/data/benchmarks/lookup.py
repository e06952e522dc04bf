"""Benchmark look-up: entry-point group ``stbench.benchmarks``, one package (a folder) per benchmark.

A benchmark's folder holds ``protocol.yaml``, ``README.md`` (its card) and, where something is published,
``published.csv``. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from stbench.errors import UserError, unknown_name
from stbench.registry import Registry
from stbench.schema import Benchmark, DatasetSpec, Protocol

if TYPE_CHECKING:
    import pandas as pd


def _check_benchmark(plugin: Any) -> None:
    if not isinstance(plugin, ModuleType | Path):
        raise TypeError(f"expected a package or a folder that holds protocol.yaml, got {plugin!r}")


TEMPLATE = "custom"  # the folder whose protocols a user's own data are run under; no dataset of its own
BENCHMARKS: Registry[ModuleType | Path] = Registry(
    "benchmark", "stbench.benchmarks", _check_benchmark, hidden={TEMPLATE}
)


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
    """The benchmark that a user's own data are described by, before anything is read off them."""
    return _load(TEMPLATE)


def _load(name: str) -> Benchmark:
    file = benchmark_folder(name) / "protocol.yaml"
    values = _read_yaml(file)
    values["protocols"] = _resolved_protocols(values.get("protocols"), str(file))
    return Benchmark.parse(values, str(file))


def get_protocol(benchmark: Benchmark, name: str) -> Protocol:
    """One protocol of a benchmark.

    Raises:
        UserError: the benchmark has no such protocol (near miss suggested).
    """
    if name not in benchmark.protocols:
        raise unknown_name(f"protocol of {benchmark.name}", name, benchmark.protocols)
    return benchmark.protocols[name]


def dataset_spec(benchmark: Benchmark, protocol: Protocol) -> DatasetSpec:
    """The benchmark's reader with its options, the protocol's overrides merged over them."""
    options = merge(benchmark.dataset.options, protocol.dataset)
    return DatasetSpec(reader=benchmark.dataset.reader, options=options)


def needs_files(benchmark: Benchmark) -> bool:
    """Whether the benchmark's data must be fetched: its dataset options name ``files``."""
    return bool(benchmark.dataset.options.get("files"))


def published_table(name: str) -> pd.DataFrame | None:
    """Published numbers with their source, one row per method and table; None where nothing is published."""
    import pandas as pd

    file = benchmark_folder(name) / "published.csv"
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as stream:
        return pd.read_csv(stream)


def card(name: str) -> str:
    """The benchmark's card (Markdown): what it is, units, licence, how to get it, published conventions."""
    file = benchmark_folder(name) / "README.md"
    if not file.is_file():
        raise UserError(f"The benchmark {name!r} has no card: {file} is missing.")
    return file.read_text(encoding="utf-8")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: ``over`` wins. Where both say ``kind`` and differ, ``over`` replaces the whole mapping.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    >>> merge({"s": {"kind": "cosine", "min_lr": 0}}, {"s": {"kind": "constant"}})
    {'s': {'kind': 'constant'}}
    """
    if base.get("kind", over.get("kind")) != over.get("kind", base.get("kind")):
        return dict(over)
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def benchmark_folder(name: str) -> Traversable:
    """The folder that holds a benchmark's files.

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


def set_value(key: str, text: str) -> Any:
    """The value of ``--set key=text``, read as in a YAML file.

    >>> set_value("stride", "5")
    5

    Raises:
        UserError: it cannot be read.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {key}={text}: cannot read the value. Write it as in a YAML file.") from None


def _read_yaml(file: Traversable) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file} is missing: a benchmark's folder must hold a protocol.yaml.")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} must hold a mapping of keys, found {type(values).__name__}.")
    return values


def _resolved_protocols(protocols: Any, where: str) -> dict[str, Any]:
    """Every protocol with its ``extends`` chain merged in."""
    if not isinstance(protocols, dict) or not protocols:
        raise UserError(f"{where}: 'protocols' must be a mapping with at least one protocol, found {protocols!r}.")
    return {name: _resolved(name, protocols, where, ()) for name in protocols}


def _resolved(name: str, protocols: dict[str, Any], where: str, chain: tuple[str, ...]) -> dict[str, Any]:
    if name in chain:
        raise UserError(f"{where}: protocols.{chain[0]}.extends runs in a circle: {' -> '.join([*chain, name])}.")
    body = protocols[name]
    if not isinstance(body, dict):
        raise UserError(f"{where}: protocols.{name} must be a mapping of keys, found {body!r}.")
    own = {key: value for key, value in body.items() if key != "extends"}
    if "extends" not in body:
        return own
    parent = body["extends"]
    if parent not in protocols:
        reason = unknown_name("protocol", str(parent), [key for key in protocols if key != name])
        raise UserError(f"{where}: protocols.{name}.extends: {reason}")
    return merge(_resolved(parent, protocols, where, (*chain, name)), own)
