"""Settings of MMVP as published by OpenSTL, and small ones for ``quick`` protocols.

Settings are published for Moving MNIST and KTH. Other moving images use Moving MNIST's, other videos KTH's, and all
others the method's defaults with their protocol's learning rate. TaxiNYC's 16×8 frames allow only two resolutions.
Human3.6M's 256×256 frames are first reduced by 4, so that matrices keep at most 16×16 positions.
"""

from __future__ import annotations

from typing import Any

BLOCKS = {"encoder_blocks": 2, "decoder_blocks": 2, "enhancer_blocks": 2}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "moving_images": {
            "config": {"hid_s": 32, "hid_t": 192, "ratios": (2, 2, 2), **BLOCKS},
            "training": {"lr": 1e-3},
        },
        "video": {"config": {"hid_s": 16, "hid_t": 96, "ratios": (2, 2, 2), **BLOCKS}, "training": {"lr": 1e-3}},
        "human": {"config": {"ratios": (4, 2, 2)}},
        "taxinyc": {"config": {"ratios": (2, 2)}},
    },
    "quick": {
        "*": {
            "config": {
                "hid_s": 16,
                "hid_t": 16,
                "ratios": (2, 2),
                "encoder_blocks": 1,
                "decoder_blocks": 1,
                "enhancer_blocks": 1,
            },
            "training": {"lr": 2e-3},
        },
    },
}
