"""Settings of MMVP that the field's library publishes, and small ones for ``quick`` protocols.

Published for Moving MNIST and KTH. Other benchmarks have no published settings: the moving images take Moving MNIST's,
the videos KTH's, the rest the method's defaults and their protocol's learning rate. TaxiNYC's frames of 16×8 leave room
for two resolutions only; Human3.6M's of 256×256 are reduced by 4 first, so that matrices keep at most 16×16 positions.
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
