"""An eager reference of the sizes that a method's settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from stbench import ClipShape, Method
from stbench.nn import split_name, variant_settings

from .base import EagerModel
from .phydnet import PhyDNet
from .recurrent import ConvLSTM, PredRNN, PredRNNpp, PredRNNv2
from .stacked import TAU, SimVP

STACK = ("hid_s", "hid_t", "n_s", "n_t", "mlp_ratio", "drop_path", "kernel_enc", "kernel_dec")
CELLS = ("hidden", "kernel", "patch", "layer_norm")
EAGER: dict[str, tuple[Callable[..., EagerModel], tuple[str, ...]]] = {
    "tau": (TAU, (*STACK, "ddr_weight", "ddr_temperature")),
    "simvp:gsta": (SimVP, STACK),
    "convlstm": (ConvLSTM, CELLS),
    "predrnn": (PredRNN, CELLS),
    "predrnnv2": (PredRNNv2, (*CELLS, "decouple_weight")),
    "predrnnpp": (PredRNNpp, CELLS),
    "phydnet": (PhyDNet, ("patch", "hid_s", "moment_weight", "output_activation")),
}
"""Method -> its eager reference and the settings that it takes from the method."""


def build(name: str, shape: ClipShape, config: Mapping[str, Any]) -> EagerModel:
    """The eager reference of a method under its resolved settings.

    Raises:
        KeyError: there is none of this method, or of this variant of it.
    """
    plugin, _ = split_name(name)
    model, keys = EAGER[name if name in EAGER else plugin]
    known = {**variant_settings(name), **config}
    sizes = {key: known[key] for key in keys if key in known}
    if model in (ConvLSTM, PredRNN, PredRNNv2, PredRNNpp):
        sizes["size"] = (shape.height, shape.width)
    return model(shape.t_in, shape.t_out, shape.channels, **sizes)


def published_weights(method: Method) -> dict[str, Tensor]:
    """A method's weights under the published names, in the layout that torch makes by default."""
    return {key: value.detach().clone().contiguous() for key, value in method.public_state_dict().items()}


def random_mask(shape: ClipShape, batch: int) -> Tensor:
    """Which steps of a training rollout see true frames: the past, and a random half of the future."""
    steps = torch.arange(shape.length - 1)
    draws = torch.rand(batch, shape.length - 1, generator=torch.Generator().manual_seed(0))
    return (steps < shape.t_in) | (draws < 0.5)
