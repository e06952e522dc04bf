"""Reading of ``protocol.yaml``: shared fragments (``include``), protocols that extend others, and origins of values.

A fragment has the form of a protocol file and contains any part of one. Later fragments override earlier ones, and the
including file overrides all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from typing import Any

from stbench.errors import UserError, unknown_name
from stbench.schema import Benchmark
from stbench.schema.protocol import Stated
from stbench.settings import Resolved, leaves, read_yaml, resolve

SUFFIX = ".yaml"


def read_benchmark(folder: Traversable, families: Traversable) -> Benchmark:
    """Read and check a benchmark's ``protocol.yaml``.

    Args:
        folder: the benchmark's folder, in which relative fragments are found.
        families: the folder of fragments that are included by name.

    Raises:
        UserError: a file is missing or not YAML, a key or value is wrong, or includes or extensions form a circle.
    """
    file = folder / "protocol.yaml"
    if not file.is_file():
        raise UserError(f"{file} is missing: a benchmark's folder must hold a protocol.yaml.")
    values = read_yaml(file, dict)
    own = str(values.get("name", folder.name))
    merged = resolve(_layers(own, values, file, folder, families, ()))
    protocols = merged.values.get("protocols")
    if not isinstance(protocols, dict) or not protocols:
        raise UserError(f"{file}: 'protocols' must be a mapping with at least one protocol, found {protocols!r}.")
    lineages = {name: _lineage(name, protocols, str(file)) for name in protocols}
    names = sorted(lineages, key=lambda name: (len(lineages[name]), name))  # "paper" first, independent of its fragment
    resolved = {name: _extended(lineages[name], protocols) for name in names}
    fragments = {key: origin for key, origin in merged.origins.items() if origin != own}
    values = {**merged.values, "protocols": {name: found.values for name, found in resolved.items()}}
    benchmark = Benchmark.parse(values, str(file), fragments)
    sourced = {
        name: protocol.with_sources(lineages[name], _stated(resolved[name], merged.origins))
        for name, protocol in benchmark.protocols.items()
    }
    return benchmark.model_copy(update={"protocols": sourced}).with_origins(merged.origins)


def _layers(
    label: str,
    values: dict[str, Any],
    file: Traversable,
    folder: Traversable,
    families: Traversable,
    chain: tuple[str, ...],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a file's fragments with labels, weakest first, then the file; ``chain`` are the including files."""
    names = values.get("include", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file}: 'include' must be a list of names or files, found {names!r}. E.g. include: [video].")
    chain = (*chain, str(file))
    for name in names:
        fragment, home = _fragment(name, file, folder, families)
        if str(fragment) in chain:
            raise UserError(f"{file}: include runs in a circle: {' -> '.join([*chain, str(fragment)])}.")
        yield from _layers(f"fragment {name}", read_yaml(fragment, dict), fragment, home, families, chain)
    yield label, {key: value for key, value in values.items() if key != "include"}


def _fragment(
    name: str, file: Traversable, folder: Traversable, families: Traversable
) -> tuple[Traversable, Traversable]:
    """Return a fragment's file and folder: a relative file if the name ends in .yaml, else one of the families."""
    if name.endswith(SUFFIX):
        *parents, last = name.split("/")
        home = folder.joinpath(*parents) if parents else folder
        if not (home / last).is_file():
            raise UserError(f"{file}: include: {home / last} is missing. Give a path relative to {folder}.")
        return home / last, home
    known = [entry.name.removesuffix(SUFFIX) for entry in families.iterdir() if entry.name.endswith(SUFFIX)]
    if name not in known:
        raise UserError(
            f"{file}: include: {unknown_name('fragment', name, known)} A file of your own ends in {SUFFIX}."
        )
    return families / f"{name}{SUFFIX}", families


def _lineage(name: str, protocols: Mapping[str, Any], where: str, below: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the protocols that ``name`` extends, the most distant first, then itself."""
    if name in below:
        circle = [*reversed(below), name]
        raise UserError(f"{where}: protocols.{circle[0]}.extends runs in a circle: {' -> '.join(circle)}.")
    body = protocols[name]
    if not isinstance(body, dict):
        raise UserError(f"{where}: protocols.{name} must be a mapping of keys, found {body!r}.")
    if "extends" not in body:
        return (name, *below)
    parent = body["extends"]
    if parent not in protocols:
        reason = unknown_name("protocol", str(parent), [key for key in protocols if key != name])
        raise UserError(f"{where}: protocols.{name}.extends: {reason}")
    return _lineage(parent, protocols, where, (name, *below))


def _extended(lineage: tuple[str, ...], protocols: Mapping[str, dict[str, Any]]) -> Resolved:
    """Merge the protocols of a lineage; origins are their names."""
    bodies = ((name, {k: v for k, v in protocols[name].items() if k != "extends"}) for name in lineage)
    return resolve(bodies)


def _stated(resolved: Resolved, origins: Mapping[str, str]) -> dict[str, Stated]:
    """Return the origin of each leaf of a protocol; ``origins`` are those of the whole file with fragments."""
    stated = {}
    for path, _ in leaves(resolved.values):
        key = ".".join(path)
        protocol = resolved.origins[key]
        stated[key] = Stated(protocol, f"{origins[f'protocols.{protocol}.{key}']} protocol {protocol}")
    return stated
