"""SimVP (Gao et al., CVPR 2022) and its gated successor SimVP-gSTA (Tan et al., 2022). Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from stbench.nn import EncoderConfig, Paper, PublicLayout
from stbench.nn.gated_stack import DecomposedConv, GatedStack
from stbench.nn.infer import depth, gated_config, known, size
from stbench.nn.stacked import GATED_STACK_RENAMES, STRIDED_RENAMES, StackedForecaster
from stbench.schema import ClipShape

from .inception import InceptionTranslator

Rate = Annotated[float, Field(ge=0, lt=1)]


class SimVPConfig(EncoderConfig):
    """Hyperparameters of SimVP.

    ``kernels`` and ``groups`` belong to the inception translator; ``mlp_ratio``, ``drop`` and ``drop_path`` to gSTA.
    """

    translator: Literal["inception", "gsta"] = "inception"
    hid_s: PositiveInt = 32
    hid_t: PositiveInt = 256
    n_s: PositiveInt = 2
    n_t: PositiveInt = 8
    kernels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (3, 5, 7, 11)
    groups: PositiveInt = 8
    mlp_ratio: PositiveFloat = 8.0
    drop: Rate = 0.0
    drop_path: Rate = 0.1


class SpatialGate(DecomposedConv):
    """Gated spatiotemporal attention: a 21×21 decomposed conv gives f and g; the output is σ(g) ⊙ f."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), same shape."""
        f, g = super().forward(x).chunk(2, dim=1)
        return torch.sigmoid(g) * f


class SimVP(StackedForecaster):
    """Recurrent-free encoder → convolutional translator → decoder, trained on plain MSE."""

    Config = SimVPConfig
    config: SimVPConfig
    paper = Paper(
        title="SimVP: Simpler yet Better Video Prediction",
        authors="Gao et al.",
        venue="CVPR 2022",
        url="https://arxiv.org/abs/2206.05099",
    )
    summary = "convolutions only: encoder, translator over the stacked frames, decoder"
    variants = {"inception": {"translator": "inception"}, "gsta": {"translator": "gsta"}}
    public_layout = PublicLayout(
        renames=(
            *STRIDED_RENAMES,
            *GATED_STACK_RENAMES,
            (r"^temporal\.lower\.", "hid.enc."),
            (r"^temporal\.upper\.", "hid.dec."),
        ),
    )

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Sizes of the strided pair and of the translator, and which of the two translators it is."""
        gated = gated_config(state_dict)
        translator = {"translator": "gsta", **gated} if "hid_t" in gated else _inception_config(state_dict)
        return {**super().infer_config(state_dict, shape), **translator}

    def __init__(self, shape: ClipShape, config: SimVPConfig) -> None:
        super().__init__(shape, config, _translator(shape.t_in * config.hid_s, config))


def _inception_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of a published inception translator; empty where there is none."""
    unit = "hid.enc.0"
    hidden, share = size(state, f"{unit}.conv1.weight", 0), size(state, f"{unit}.layers.0.conv.weight", 1)
    if not hidden or not share:
        return {}
    branches = range(depth(state, f"{unit}.layers") or 0)
    return known(
        translator="inception",
        hid_t=2 * hidden,
        n_t=depth(state, "hid.enc"),
        kernels=tuple(size(state, f"{unit}.layers.{branch}.conv.weight", 2) for branch in branches),
        groups=hidden // share,
    )


def _translator(channels: int, config: SimVPConfig) -> nn.Module:
    if config.translator == "inception":
        return InceptionTranslator(channels, config.hid_t, config.n_t, config.kernels, config.groups)
    return GatedStack(
        channels,
        config.hid_t,
        config.n_t,
        SpatialGate,
        mlp_ratio=config.mlp_ratio,
        drop=config.drop,
        drop_path=config.drop_path,
    )
