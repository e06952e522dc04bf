"""Settings of TAU as published by its paper and OpenSTL, and small ones for ``quick`` protocols."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "traffic": {
            "config": {"hid_s": 32, "hid_t": 256, "n_s": 2, "n_t": 8, "drop_path": 0.1},
            "training": {"lr": 5e-4},
        },
        "moving_images": {
            "config": {"hid_s": 64, "hid_t": 512, "n_s": 4, "n_t": 8, "drop_path": 0.0},
            "training": {"lr": 1e-3},
        },
        "video": {"config": {"hid_s": 64, "hid_t": 256, "n_s": 2, "n_t": 6}, "training": {"lr": 1e-3}},
        "human": {"config": {"hid_t": 512, "n_s": 4, "n_t": 8}},
        "kitticaltech": {"training": {"lr": 1e-2}},
        "weather": {"config": {"hid_s": 32, "hid_t": 256, "n_s": 2, "n_t": 8}, "training": {"lr": 5e-3}},
        "weather_tcc": {"training": {"lr": 5e-4}},
    },
    "quick": {
        "*": {
            "config": {"hid_s": 16, "hid_t": 64, "n_s": 2, "n_t": 3, "drop_path": 0.0},
            "training": {"lr": 5e-3},
        },
        "traffic": {"training": {"lr": 1e-2}},
    },
}
