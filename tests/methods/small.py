"""Every method of the suite at a size that runs in milliseconds."""

from __future__ import annotations

from typing import Any

from stbench import ClipShape, Method, create_method

SHAPE = ClipShape(t_in=3, t_out=3, channels=2, height=16, width=8)
STACK = {"hid_s": 8, "hid_t": 16, "n_s": 2, "n_t": 2}
LAYERS = {"hidden": (4, 4), "patch": 2, "kernel": 3}

METAFORMERS = ("vit", "swin", "uniformer", "mlp", "convmixer", "poolformer", "convnext", "van", "hornet", "moga")

TRAINED: dict[str, dict[str, Any]] = {
    "tau": STACK,
    "simvp": STACK,
    "simvp:gsta": STACK,
    **{f"simvp:{kind}": STACK | {"n_t": 3, "mlp_ratio": 2.0} for kind in METAFORMERS},
    "swinlstm:b": {"embed_dim": 8, "depth": 3, "num_heads": (2,), "window": 2},
    "swinlstm:d": {
        "embed_dim": 4,
        "num_heads": (2, 2),
        "depths_downsample": (1, 2),
        "depths_upsample": (2, 1),
        "window": 2,
    },
    "convlstm": LAYERS,
    "predrnn": LAYERS,
    "predrnnpp": LAYERS,
    "predrnnv2": LAYERS,
    "mim": LAYERS,
    "phydnet": {"patch": 2},
    "mau": {"hidden": (4, 4), "kernel": 3, "downsampling": 2},
    "predformer": {"patch": 4, "dim": 8, "heads": 2, "dim_head": 4, "scale_dim": 2, "blocks": 4},
    "e3dlstm": {"hidden": (4, 4), "patch": 2},
    "e3dlstm:paper": {"hidden": (4, 4), "patch": 2},
    "mmvp": {
        "hid_s": 8,
        "hid_t": 4,
        "ratios": (2, 2),
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "enhancer_blocks": 1,
    },
}
UNTRAINED = ("persistence", "climatology", "linear", "optflow", "seasonal_ar")


def build(name: str, shape: ClipShape = SHAPE, **more: Any) -> Method:
    plugin = name if name in TRAINED else name.split(":")[0]
    return create_method(name, shape, **{**TRAINED.get(plugin, {}), **more})
