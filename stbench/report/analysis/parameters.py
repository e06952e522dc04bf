"""Parameter counts of configurations; methods are built without memory for their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stbench.data.benchmarks.lookup import BENCHMARKS, get_protocol, load_benchmark
from stbench.schema import ClipShape, RunSpec
from stbench.settings import resolve


def configured_parameters(spec: RunSpec) -> int | None:
    """Return the count of a run's configuration; None if its method is not installed or rejects it now."""
    return _count_once(spec.plugin, spec.shape.model_dump_json(), spec.method, json.dumps(spec.config, sort_keys=True))


@lru_cache(maxsize=1024)
def _count_once(plugin: str, shape: str, name: str, config: str) -> int | None:
    """Count a configuration once for all seeds, given as JSON because it has lists in it."""
    return _count(plugin, ClipShape.model_validate_json(shape), name, json.loads(config))


@lru_cache
def published_parameters(benchmark: str, name: str) -> tuple[int, ...]:
    """Return a method's counts under a benchmark's ``paper`` protocol: of the named variant, or of all variants.

    Printed names rarely state the variant. Empty if the method, the benchmark or its settings for the method are not
    installed.
    """
    from stbench.nn import METHODS, protocol_layers, variant_settings

    plugin, _, variant = name.partition(":")
    if benchmark not in BENCHMARKS.names() or plugin not in METHODS.names():
        return ()
    definition = load_benchmark(benchmark)
    if "paper" not in definition.protocols:
        return ()
    protocol = get_protocol(definition, "paper")
    method = METHODS.get(plugin)
    names = [name] if variant else [plugin, *(f"{plugin}:{known}" for known in method.variants)]
    shape = protocol.shape or definition.shape
    published = {each: resolve(protocol_layers(method, each, definition, "paper", "config")).values for each in names}
    configs = [
        {**method.adapt(definition), **settings, **variant_settings(each)}
        for each, settings in published.items()
        if settings
    ]
    counts = (_count(plugin, shape, name, config) for config in configs)
    return tuple(dict.fromkeys(count for count in counts if count is not None))


def _count(plugin: str, shape: ClipShape, name: str, config: Mapping[str, Any]) -> int | None:
    import torch

    from stbench.nn import METHODS

    try:
        with torch.device("meta"):
            method = METHODS.get(plugin).create(shape, config, name)
    except Exception:  # a plugin may raise anything: without a count there is no audit of it
        return None
    return sum(p.numel() for p in method.parameters() if p.requires_grad)
