"""Settings of MAU as published by its paper and OpenSTL, and small ones for ``quick`` protocols."""

from __future__ import annotations

from typing import Any

WIDE = {"hidden": (64, 64, 64, 64), "kernel": 5}
SMALL = {"hidden": (16, 16), "kernel": 3, "sampling": "none"}
"""A quick run is too short for scheduled sampling, so training feeds the model its own predictions."""

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "traffic": {"config": {**WIDE, "downsampling": 2}, "training": {"lr": 1e-3}},
        "moving_images": {"config": {**WIDE, "downsampling": 4}, "training": {"lr": 1e-3}},
        "mfmnist": {"training": {"lr": 5e-4}},
        "video": {"config": {**WIDE, "downsampling": 2}, "training": {"lr": 1e-3}},
        "human": {"config": {"downsampling": 4}, "training": {"lr": 1e-4}},
        "kth": {"training": {"lr": 5e-4}},
        "weather": {"config": {**WIDE, "downsampling": 2}, "training": {"lr": 1e-3}},
        "weather_r": {"config": {"downsampling": 4}, "training": {"lr": 5e-4}},
        "weather_t2m": {"training": {"lr": 1e-4}},
    },
    "quick": {
        "*": {"config": SMALL, "training": {"lr": 5e-3}},
        "video": {"config": {"downsampling": 4}},
        "weather": {"config": {"downsampling": 4}},
    },
}
