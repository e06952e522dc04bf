"""Settings of SwinLSTM.

D on Moving MNIST and B on Human3.6M are published, with the defaults of the configuration. All other data use B with
the same learning rate.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "*": {"training": {"lr": 1e-4}},
        "moving_images": {"config": {"model": "d"}, "training": {"batch_size": 16}},
        "human": {
            "config": {"model": "b"},
            "training": {"batch_size": 16, "schedule": {"kind": "onecycle", "final_div": 1e4}},
        },
        "nyctaxi30": {"config": {"window": 2}},  # windows of 4×4 do not tile the grid of 8×6 tokens
    },
    "quick": {
        "*": {
            "config": {
                "model": "b",
                "embed_dim": 32,
                "depth": 2,
                "num_heads": (2, 4),
                "depths_downsample": (1, 2),
                "depths_upsample": (2, 1),
            },
            "training": {"lr": 2e-3},
        },
        "*:d": {"config": {"embed_dim": 16}},
    },
}
