"""Settings of the MetaFormer translators as published by OpenSTL, by translator and data.

Settings are published for TaxiBJ, Moving MNIST, Moving FashionMNIST, KTH, KittiCaltech, Human3.6M and WeatherBench.
Other benchmarks of a family use those of its first one (TaxiBJ, Moving MNIST, KTH, temperature). Sizes are those of the
inception translator unless given here; optimiser, kernels, MLP ratio and schedule are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("vit", "swin", "uniformer", "mlp", "convmixer", "poolformer", "convnext", "van", "hornet", "moga")
GLOBAL_ATTENTION = ("vit", "uniformer")

LEARNING_RATES: Mapping[str, tuple[float, ...]] = {
    "traffic": (5e-4, 5e-4, 5e-4, 1e-2, 1e-3, 5e-4, 1e-3, 1e-3, 1e-3, 1e-3),
    "moving_images": (5e-4, 1e-3, 5e-4, 1e-3, 1e-2, 1e-3, 1e-2, 1e-3, 1e-3, 1e-3),
    "mfmnist": (5e-4, 1e-3, 5e-4, 1e-3, 1e-2, 1e-3, 1e-2, 5e-3, 1e-3, 1e-3),
    "video": (1.3e-3, 5e-4, 1e-3, 1e-3, 1e-2, 5e-4, 5e-3, 1e-3, 1e-3, 5e-3),
    "kitticaltech": (1.25e-4, 5e-4, 1e-3, 5e-4, 1e-2, 1e-3, 5e-3, 1e-2, 1e-3, 5e-3),
    "human": (1e-3, 5e-4, 1e-3, 1e-3, 1e-2, 1e-3, 5e-3, 1e-3, 1e-3, 1e-3),
    "weather": (1e-3, 1e-3, 5e-3, 1e-3, 1e-2, 5e-4, 1e-2, 5e-3, 1e-3, 5e-3),
    "weather_r": (1e-3, 1e-3, 5e-3, 1e-2, 5e-3, 5e-3, 1e-2, 5e-3, 1e-3, 1e-2),
    "weather_uv10": (5e-4, 1e-3, 5e-3, 5e-4, 1e-2, 1e-3, 5e-3, 5e-3, 1e-3, 1e-3),
    "weather_tcc": (5e-4, 1e-3, 5e-3, 5e-3, 5e-3, 5e-4, 1e-2, 1e-2, 5e-3, 1e-2),
}
"""Learning rates by family or benchmark, in the order of :data:`KINDS`."""

DROP_PATHS: Mapping[str, Mapping[float, tuple[str, ...]]] = {
    "traffic": {0.1: KINDS},
    "moving_images": {0.0: KINDS},
    "mfmnist": {0.0: KINDS},
    "video": {0.1: KINDS, 0.2: ("van", "hornet", "moga")},
    "kitticaltech": {0.1: KINDS, 0.2: ("uniformer",)},
    "human": {0.1: KINDS},
    "weather": {0.1: KINDS, 0.2: ("moga",)},
    "weather_r": {0.2: KINDS, 0.1: ("vit", "mlp")},
    "weather_uv10": {0.2: KINDS, 0.1: ("convmixer",)},
    "weather_tcc": {0.2: KINDS, 0.1: ("vit", "swin", "uniformer", "convmixer", "moga")},
}
"""Rates of stochastic depth; later entries of a row override earlier ones."""

BATCH_SIZES: Mapping[str, Mapping[int, tuple[str, ...]]] = {"kitticaltech": {16: KINDS, 4: GLOBAL_ATTENTION}}
"""Clips per step on all devices together; absent for KTH and Human3.6M, which are published per device."""

SIZES: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "video": {kind: {"n_t": 4 if kind in GLOBAL_ATTENTION else 6} for kind in KINDS},
    "human": {
        **{kind: {"hid_t": 512, "n_t": 8} for kind in KINDS},
        "vit": {"hid_t": 256, "n_t": 8},
        "hornet": {"hid_t": 512, "n_t": 6},
        "moga": {"hid_t": 256, "n_t": 6},
    },
}
QUICK_RATE = 2e-3
"""Learning rate of translators that diverge within a few hundred steps at a larger one."""


def _last(rows: Mapping[Any, tuple[str, ...]], kind: str) -> Any:
    return [value for value, kinds in rows.items() if kind in kinds][-1]


def _settings(data: str, kind: str, rate: float) -> dict[str, Any]:
    batch = {"batch_size": _last(BATCH_SIZES[data], kind)} if data in BATCH_SIZES else {}
    config = {"drop_path": _last(DROP_PATHS[data], kind), **SIZES.get(data, {}).get(kind, {})}
    return {"config": config, "training": {"lr": rate, **batch}}


METAFORMER_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        f"{data}:{kind}": _settings(data, kind, rate)
        for data, rates in LEARNING_RATES.items()
        for kind, rate in zip(KINDS, rates, strict=True)
    },
    "quick": {f"*:{kind}": {"training": {"lr": QUICK_RATE}} for kind in ("vit", "swin", "uniformer", "mlp")},
}
"""Protocol -> ``family:translator`` or ``benchmark:translator`` -> settings, as :attr:`Method.presets`."""
