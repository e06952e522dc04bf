"""An eager reference of the sizes that a method's settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stbench import ClipShape, Method
from stbench.nn import split_name, variant_settings

from .base import EagerModel
from .e3dlstm import E3DLSTM
from .mau import MAU
from .mim import MIM
from .mmvp import MMVP
from .phydnet import PhyDNet
from .predformer import PredFormer
from .recurrent import ConvLSTM, PredRNN, PredRNNpp, PredRNNv2
from .stacked import TAU, SimVP, Stacked
from .swinlstm import SwinLSTM
from .translators import BLOCKS
from .wast import WaST

STACK = ("size", "hid_s", "hid_t", "n_s", "n_t", "mlp_ratio", "drop_path", "kernel_enc", "kernel_dec")
PATCHES = ("size", "hidden", "patch", "layer_norm")
CELLS = (*PATCHES, "kernel")
DEPTHS = ("depth", "num_heads", "depths_downsample", "depths_upsample")
SWIN = ("size", "model", "embed_dim", "window", "mlp_ratio", "drop_path", "output_activation", *DEPTHS)
TRANSFORMER = ("dim", "heads", "dim_head", "scale_dim", "dropout", "attn_dropout", "drop_path")
EAGER: dict[str, tuple[Callable[..., EagerModel], tuple[str, ...]]] = {
    "tau": (TAU, (*STACK, "ddr_weight", "ddr_temperature")),
    "simvp:gsta": (SimVP, STACK),
    "convlstm": (ConvLSTM, CELLS),
    "predrnn": (PredRNN, CELLS),
    "predrnnv2": (PredRNNv2, (*CELLS, "decouple_weight")),
    "predrnnpp": (PredRNNpp, CELLS),
    "phydnet": (PhyDNet, ("patch", "hid_s", "moment_weight", "output_activation")),
    **{f"simvp:{kind}": (partial(Stacked, block=block), STACK) for kind, block in BLOCKS.items()},
    "predformer": (PredFormer, ("size", "variant", "patch", "blocks", "ndepth", "depth", "layer_skip", *TRANSFORMER)),
    "swinlstm:b": (SwinLSTM, SWIN),
    "swinlstm:d": (SwinLSTM, SWIN),
    "wast": (
        WaST,
        ("encoder_dim", "blocks", "mlp_ratio", "hffl_weight", "hffl_alpha", "hffl_tau", "hffl_levels"),
    ),
    "mmvp": (MMVP, ("hid_s", "hid_t", "ratios", "encoder_blocks", "decoder_blocks", "enhancer_blocks")),
    "e3dlstm": (E3DLSTM, (*PATCHES, "stride", "memory", "recall")),
    "mim": (MIM, CELLS),
    "mau": (MAU, ("size", "hidden", "kernel", "downsampling", "window", "recall", "residual")),
}
"""Method -> its eager reference and the settings that it takes from the method; ``size`` is that of the frames."""


def reference_of(name: str) -> tuple[Callable[..., EagerModel], tuple[str, ...]]:
    """The entry of a method or, for a variant without one, that of its plugin.

    Raises:
        KeyError: there is none, or the variant changes a setting that the plugin's reference does not have.
    """
    if name in EAGER:
        return EAGER[name]
    model, keys = EAGER[split_name(name)[0]]
    if not set(variant_settings(name)) <= set(keys):
        raise KeyError(name)
    return model, keys


def build(name: str, shape: ClipShape, config: Mapping[str, Any]) -> EagerModel:
    """The eager reference of a method under its resolved settings; raises KeyError without one."""
    model, keys = reference_of(name)
    known = {**variant_settings(name), **config, "size": (shape.height, shape.width)}
    return model(shape.t_in, shape.t_out, shape.channels, **{key: known[key] for key in keys if key in known})


def published_weights(method: Method) -> dict[str, Tensor]:
    """A method's weights under the published names, in the layout that torch makes by default."""
    return {key: value.detach().clone().contiguous() for key, value in method.public_state_dict().items()}


def random_mask(shape: ClipShape, batch: int) -> Tensor:
    """Which steps of a training rollout see true frames: the past, and a random half of the future."""
    steps = torch.arange(shape.length - 1)
    draws = torch.rand(batch, shape.length - 1, generator=torch.Generator().manual_seed(0))
    return (steps < shape.t_in) | (draws < 0.5)
