"""Settings of PredFormer as published by its paper and repository, and small ones for ``quick`` protocols.

``blocks`` gives the published Ndepth of every variant: 24, 12, 8 and 6 on Moving MNIST, 8, 4, 2 and 2 on TaxiBJ and
WeatherBench, 12, 6, 4 and 3 on Human3.6M. The paper's best row on Moving MNIST has ``blocks`` 32.
"""

from __future__ import annotations

from typing import Any

ADAMW = {"kind": "adamw", "weight_decay": 1e-2, "decay_all": True}
COSINE = {"kind": "cosine", "warmup_epochs": 0, "min_lr": 1e-6}
ONECYCLE = {"kind": "onecycle"}
DROPPED = {"dropout": 0.1, "attn_dropout": 0.1, "drop_path": 0.1}
WHOLE = {"dropout": 0.0, "attn_dropout": 0.0, "drop_path": 0.0}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "*": {"training": {"optimizer": ADAMW}},
        "traffic": {
            "config": {"patch": 4, "blocks": 8, **DROPPED},
            "training": {"lr": 1e-3, "schedule": ONECYCLE},
            "published_for": ["taxibj"],
        },
        "taxibj": {"training": {"epochs": 200}},
        "moving_images": {
            "config": {"blocks": 24, **WHOLE},
            "training": {"lr": 1e-3},
            "published_for": ["mmnist"],
        },
        "mmnist": {"config": {"patch": 8}, "training": {"epochs": 2000}},
        "mfmnist": {"config": {"patch": 8}},
        "moving_digits": {"config": {"patch": 8}},
        "video": {
            "config": {"patch": 8, "blocks": 12, **DROPPED},
            "training": {"lr": 1e-3},
            "published_for": ["human"],
        },
        "human": {"training": {"batch_size": 8, "epochs": 50, "schedule": COSINE}},
        "human:triplet_tst": {"config": {"layer_skip": True}},
        "human:triplet_sts": {"config": {"layer_skip": True}},
        "weather": {
            "config": {"patch": 4, "blocks": 8, "scale_dim": 2, **DROPPED, "drop_path": 0.25},
            "training": {"lr": 5e-4, "schedule": COSINE},
            "published_for": ["weather_t2m"],
        },
    },
    "quick": {
        "*": {
            "config": {"patch": 4, "dim": 64, "heads": 4, "dim_head": 16, "scale_dim": 2, "blocks": 4, **WHOLE},
            "training": {"lr": 3e-3},
        },
    },
}
