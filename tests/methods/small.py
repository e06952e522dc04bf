"""Every method of the suite at a size that runs in milliseconds."""

from __future__ import annotations

from typing import Any

from stbench import ClipShape, Method, create_method

SHAPE = ClipShape(t_in=3, t_out=3, channels=2, height=16, width=8)
STACK = {"hid_s": 8, "hid_t": 16, "n_s": 2, "n_t": 2}
LAYERS = {"hidden": (4, 4), "patch": 2, "kernel": 3}

TRAINED: dict[str, dict[str, Any]] = {
    "tau": STACK,
    "simvp": STACK,
    "simvp:gsta": STACK,
    "convlstm": LAYERS,
    "predrnn": LAYERS,
    "predrnnpp": LAYERS,
    "predrnnv2": LAYERS,
    "mim": LAYERS,
    "phydnet": {"patch": 2},
    "mau": {"hidden": (4, 4), "kernel": 3, "downsampling": 2},
}
UNTRAINED = ("persistence", "climatology", "linear")


def build(name: str, shape: ClipShape = SHAPE, **more: Any) -> Method:
    plugin = name if name in TRAINED else name.split(":")[0]
    return create_method(name, shape, **{**TRAINED.get(plugin, {}), **more})
