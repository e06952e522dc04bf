"""Presets of methods (:attr:`Method.presets`): checks, and merging for one benchmark and protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from stbench.errors import UserError, did_you_mean
from stbench.nn.method import Method
from stbench.schema import Benchmark, MethodSettings, Training
from stbench.schema.protocol import Stated
from stbench.settings import Origin, merge

ANY = "*"
"""The key of settings for every benchmark."""
PUBLISHED_FOR = "published_for"
"""Key beside ``config`` and ``training``: the benchmarks that the values were published for."""


def preset(method: type[Method], name: str, benchmark: Benchmark, protocol: str) -> MethodSettings:
    """Return a method's preset for one protocol: ``"*"``, the benchmark's family, its name; later ones win.

    The same keys with ``:VARIANT`` follow, for each variant in the method's name.

    Args:
        method: the class.
        name: its registered name, with variants.
        benchmark: the benchmark to run on.
        protocol: a protocol's name; presets of the protocols that it extends are not included.

    Raises:
        UserError: a preset of the method has an unknown key.
    """
    plugin = name.split(":")[0]
    check_presets(method, plugin)
    merged = _merged(method, name, benchmark, protocol)
    merged.pop(PUBLISHED_FOR, None)
    return MethodSettings.parse(merged, f"preset of {plugin}, protocol {protocol!r}")


def preset_origin(method: type[Method], name: str, benchmark: Benchmark, protocol: str) -> str:
    """Describe where a preset's values come from, and whether they were published for other data only."""
    plugin = name.split(":")[0]
    published = _merged(method, name, benchmark, protocol).get(PUBLISHED_FOR)
    if not published or benchmark.name in published:
        return f"preset of {plugin}"
    return f"preset of {plugin}: none published for {benchmark.name}, those of {published[0]}"


def protocol_layers(
    method: type[Method], name: str, benchmark: Benchmark, protocol: str, section: Literal["config", "training"]
) -> Iterator[tuple[Origin, Mapping[str, Any]]]:
    """Return the settings that a benchmark's protocol and a method's presets give, weakest first.

    For each protocol of the lineage (``paper`` before a ``quick`` that extends it) they are: the training settings for
    all methods, the method's preset, the settings for this method in the benchmark's files. A preset thus overrides
    settings for all methods, and a protocol's length of training overrides presets of the protocol that it extends.

    Raises:
        UserError: a preset of the method has an unknown key.
    """
    plugin = name.split(":")[0]
    definition = benchmark.protocols[protocol]
    own = Stated(protocol, f"{benchmark.name} protocol {protocol}")
    shared = definition.training.model_dump(mode="json", exclude_unset=True) if section == "training" else {}
    special = getattr(definition.settings(plugin), section)
    of_all = definition.parts("training", shared, own)
    of_method = definition.parts(f"methods.{plugin}.{section}", special, own)
    for all_part, method_part in zip(of_all, of_method, strict=True):
        recommended = preset(method, name, benchmark, all_part.protocol)
        yield all_part.origins, all_part.values
        yield preset_origin(method, name, benchmark, all_part.protocol), getattr(recommended, section)
        yield method_part.origins, method_part.values


def check_presets(method: type[Method], plugin: str) -> None:
    """Check that every key of a method's presets exists; values are checked when settings are merged.

    Raises:
        UserError: a preset has an unknown key, or a value that is not a mapping where one is expected.
    """
    for protocol, by_key in _mapping(method.presets, f"presets of {plugin}").items():
        for key, values in _mapping(by_key, f"presets of {plugin}, protocol {protocol!r}").items():
            where = f"preset of {plugin}, protocol {protocol!r}, {key!r}"
            checked = {name: value for name, value in _mapping(values, where).items() if name != PUBLISHED_FOR}
            settings = MethodSettings.parse(checked, where)
            if not _is_names(values.get(PUBLISHED_FOR, [])):
                raise UserError(
                    f"{where}: {PUBLISHED_FOR} must be a list of benchmarks, found {values[PUBLISHED_FOR]!r}."
                )
            _check_keys(settings.config, method.Config.model_fields, f"{where}, config")
            _check_keys(settings.training, Training.model_fields, f"{where}, training")


def _merged(method: type[Method], name: str, benchmark: Benchmark, protocol: str) -> dict[str, Any]:
    by_key = method.presets.get(protocol, {})
    merged: dict[str, Any] = {}
    for suffix in ("", *(f":{variant}" for variant in name.split(":")[1:])):
        for key in (ANY, benchmark.family, benchmark.name):
            merged = merge(merged, by_key.get(f"{key}{suffix}", {})) if key is not None else merged
    return merged


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a mapping of keys, found {values!r}.")
    return values


def _check_keys(values: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}.{did_you_mean(key, known)} Known keys: {', '.join(known)}.")
