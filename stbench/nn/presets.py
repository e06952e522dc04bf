"""Settings that a method recommends (:attr:`Method.presets`): checked, and merged for one benchmark and protocol."""

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


def preset(method: type[Method], name: str, benchmark: Benchmark, protocol: str) -> MethodSettings:
    """A method's preset for one protocol name: ``"*"``, then the benchmark's family, then its name; later ones win.

    Behind them come the same keys with ``:VARIANT`` appended, for each variant in the method's name.

    Args:
        method: the class.
        name: its registered name, with the variants asked for.
        benchmark: what it will run on.
        protocol: a protocol's name; presets of the protocols it extends are not in it.

    Raises:
        UserError: some preset of the method has an unknown key.
    """
    plugin, *variants = name.split(":")
    check_presets(method, plugin)
    by_key = method.presets.get(protocol, {})
    merged: dict[str, Any] = {}
    for suffix in ("", *(f":{variant}" for variant in variants)):
        for key in (ANY, benchmark.family, benchmark.name):
            merged = merge(merged, by_key.get(f"{key}{suffix}", {})) if key is not None else merged
    return MethodSettings.parse(merged, f"preset of {plugin}, protocol {protocol!r}")


def protocol_layers(
    method: type[Method], name: str, benchmark: Benchmark, protocol: str, section: Literal["config", "training"]
) -> Iterator[tuple[Origin, Mapping[str, Any]]]:
    """What a benchmark's protocol and a method's presets say about the method's settings, weakest first.

    For each protocol of the lineage (``paper`` before the ``quick`` that extends it): the training settings for all
    methods, the method's preset, then what the benchmark's files say about this method. So a preset wins over settings
    for all methods, and a protocol's own length of training over a preset for the protocol it extends.

    Raises:
        UserError: some preset of the method has an unknown key.
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
        yield f"preset of {plugin}", getattr(recommended, section)
        yield method_part.origins, method_part.values


def check_presets(method: type[Method], plugin: str) -> None:
    """Check that every key of a method's presets exists; values are checked with the settings they become part of.

    Raises:
        UserError: a preset has an unknown key, or something in it is no mapping; names the preset.
    """
    for protocol, by_key in _mapping(method.presets, f"presets of {plugin}").items():
        for key, values in _mapping(by_key, f"presets of {plugin}, protocol {protocol!r}").items():
            where = f"preset of {plugin}, protocol {protocol!r}, {key!r}"
            settings = MethodSettings.parse(_mapping(values, where), where)
            _check_keys(settings.config, method.Config.model_fields, f"{where}, config")
            _check_keys(settings.training, Training.model_fields, f"{where}, training")


def _mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a mapping of keys, found {values!r}.")
    return values


def _check_keys(values: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}.{did_you_mean(key, known)} Known keys: {', '.join(known)}.")
