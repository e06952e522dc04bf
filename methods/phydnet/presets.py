"""Settings of PhyDNet as published by its paper and OpenSTL, and small ones for ``quick`` protocols."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "traffic": {"config": {"patch": 2}, "training": {"lr": 5e-4}},
        "moving_images": {"config": {"patch": 4}, "training": {"lr": 1e-3}},
        "mfmnist": {"training": {"lr": 5e-4}},
        "video": {"config": {"patch": 4}, "training": {"lr": 1e-3}},
        "human": {"training": {"lr": 1e-4}},
        "kitticaltech": {"training": {"lr": 5e-3}},
        "weather": {"config": {"patch": 2}, "training": {"lr": 1e-4}},
        "weather_uv10": {"training": {"lr": 1e-3}},
    },
    "quick": {
        "*": {"config": {"hid_s": 32, "teacher_forcing": False}, "training": {"lr": 5e-3}},
        "video": {"config": {"patch": 4}},
        "weather": {"config": {"patch": 4}},
    },
}
