"""Settings of WaST as published by OpenSTL, and small ones for ``quick`` protocols.

Only TaxiBJ's configuration is published; its schedule is a cosine without warm-up. Other benchmarks use the method's
defaults and their protocol's learning rate.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "taxibj": {
            "config": {
                "encoder_dim": 20,
                "blocks": (2, 8, 2),
                "drop_path": 0.25,
                "drop_path_mode": "late",
                "drop_path_epoch": 20,
            },
            "training": {
                "lr": 1e-3,
                "schedule": {"kind": "cosine", "warmup_epochs": 0, "min_lr": 1e-6},
            },
        },
    },
    "quick": {
        "*": {"config": {"encoder_dim": 8, "blocks": (1, 1, 1), "drop_path": 0.0}, "training": {"lr": 5e-3}},
        "taxibj": {"training": {"schedule": {"kind": "onecycle"}}},
    },
}
