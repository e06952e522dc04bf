"""Settings of SimVP as published by its paper and OpenSTL, and small ones for ``quick`` protocols.

Keys without a translator hold for plain ``simvp`` (inception); the settings of other translators build on them.
"""

from __future__ import annotations

from typing import Any

from .metaformer_presets import METAFORMER_PRESETS

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        **METAFORMER_PRESETS["paper"],
        "traffic": {
            "config": {"hid_s": 32, "hid_t": 256, "n_s": 2, "n_t": 8, "drop_path": 0.1},
            "training": {"lr": 1e-3},
        },
        "traffic:gsta": {"training": {"lr": 5e-4}},
        "moving_images": {
            "config": {"hid_s": 64, "hid_t": 512, "n_s": 4, "n_t": 8, "drop_path": 0.0},
            "training": {"lr": 1e-3},
        },
        "video": {"config": {"hid_s": 64, "hid_t": 256, "n_s": 2, "n_t": 4}, "training": {"lr": 1e-3}},
        "video:gsta": {"config": {"n_t": 6, "drop_path": 0.2}},
        "human": {"config": {"hid_t": 512, "n_s": 4, "n_t": 6}},
        "human:gsta": {"config": {"hid_t": 256, "n_t": 8, "drop_path": 0.1}},
        "kitticaltech": {"training": {"lr": 5e-3}},
        "weather": {"config": {"hid_s": 32, "hid_t": 256, "n_s": 2, "n_t": 8}, "training": {"lr": 5e-3}},
        "weather:gsta": {"training": {"lr": 5e-3}},
        "weather_r": {"training": {"lr": 1e-3}},
        "weather_t2m": {"training": {"lr": 1e-2}},
        "weather_tcc": {"training": {"lr": 1e-2}},
        "weather_tcc:gsta": {"training": {"lr": 1e-2}},
        "weather_uv10:gsta": {"config": {"drop_path": 0.2}},
    },
    "quick": {
        **METAFORMER_PRESETS["quick"],
        "*": {
            "config": {"hid_s": 16, "hid_t": 64, "n_s": 2, "n_t": 3, "drop_path": 0.0},
            "training": {"lr": 5e-3},
        },
        "traffic": {"training": {"lr": 1e-2}},
    },
}
