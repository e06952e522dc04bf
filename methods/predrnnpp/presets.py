"""Settings of PredRNN++ as published by its paper and OpenSTL, and small ones for ``quick`` protocols."""

from __future__ import annotations

from typing import Any

WIDE = {"hidden": (128, 128, 128, 128), "kernel": 5, "layer_norm": False}
SMALL = {"hidden": (32, 32), "kernel": 3, "sampling": "none"}
"""A quick run is too short for scheduled sampling, so training feeds the model its own predictions."""

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "traffic": {"config": {**WIDE, "patch": 2}, "training": {"lr": 1e-4}},
        "moving_images": {"config": {**WIDE, "patch": 4}, "training": {"lr": 1e-4}},
        "mfmnist": {"training": {"lr": 5e-4}},
        "video": {"config": {**WIDE, "patch": 2}, "training": {"lr": 1e-4}},
        "human": {"config": {**WIDE, "patch": 4}},
        "kitticaltech": {"training": {"lr": 5e-3}},
        "kth": {"training": {"lr": 1e-3}},
        "weather": {"config": {**WIDE, "patch": 2}, "training": {"lr": 5e-4}},
        "weather_tcc": {"training": {"lr": 1e-3}},
    },
    "quick": {
        "*": {"config": SMALL, "training": {"lr": 2e-3}},
        "video": {"config": {"patch": 4}},
        "weather": {"config": {"patch": 4}},
    },
}
