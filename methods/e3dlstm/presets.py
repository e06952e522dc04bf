"""Settings of E3D-LSTM as published by OpenSTL, and small ones for ``quick`` protocols.

Settings are published for TaxiBJ, the Moving MNIST family, KTH, KittiCaltech and Human3.6M. For weather only result
tables are published; patch 4 gives the parameters and multiply-adds stated there. Other traffic data use TaxiBJ's.
"""

from __future__ import annotations

from typing import Any

WIDE = {"hidden": (128, 128, 128, 128), "stride": 1, "layer_norm": False}
SMALL = {"hidden": (16, 16), "stride": 1, "sampling": "none"}
"""A quick run is too short for scheduled sampling, so training feeds the model its own predictions."""

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "traffic": {"config": {**WIDE, "patch": 2}, "training": {"lr": 5e-3}},
        "moving_images": {"config": {**WIDE, "patch": 4}, "training": {"lr": 1e-4}},
        "video": {"config": WIDE},
        "kth": {"config": {"patch": 8, "stride": 2}, "training": {"lr": 5e-4}},
        "kitticaltech": {"config": {"patch": 4}, "training": {"lr": 2.5e-3, "batch_size": 4}},
        "human": {"config": {"patch": 8}, "training": {"lr": 1e-4}},
        "weather": {"config": {**WIDE, "patch": 4}},
    },
    "quick": {
        "*": {"config": SMALL, "training": {"lr": 5e-3}},
        "kth": {"config": {"patch": 4, "stride": 1}},
        "kitticaltech": {"training": {"batch_size": 8}},
        "human": {"config": {"patch": 4}},
    },
}
