"""SimVP (Gao et al., CVPR 2022), SimVP-gSTA (Tan et al., 2022) and OpenSTL's MetaFormer translators.

Axes: B, T, C, H, W.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from torch import Tensor

from stbench.nn import Paper, PublicLayout
from stbench.nn.stack import BlockStack
from stbench.nn.stacked import GATED_STACK_RENAMES, STRIDED_RENAMES, StackedForecaster, feature_size
from stbench.schema import ClipShape

from .config import SimVPConfig, Translator
from .presets import PRESETS
from .translators import build_translator, inception_config, stack_config


class SimVP(StackedForecaster):
    """Encoder → translator → decoder, trained on MSE."""

    Config = SimVPConfig
    config: SimVPConfig
    paper = Paper(
        title="SimVP: Simpler yet Better Video Prediction",
        authors="Gao et al.",
        venue="CVPR 2022",
        url="https://arxiv.org/abs/2206.05099",
    )
    summary = "encoder, translator over the stacked frames (inception, gSTA, MetaFormers), decoder; feed-forward"
    variants = {name: {"translator": name} for name in get_args(get_args(Translator)[0])}
    presets = PRESETS
    public_layout = PublicLayout(
        renames=(
            *STRIDED_RENAMES,
            *GATED_STACK_RENAMES,
            (r"^temporal\.lower\.", "hid.enc."),
            (r"^temporal\.upper\.", "hid.dec."),
            (r"\.bias_table$", ".relative_position_bias_table"),
            (r"\.block\.scale([12])$", r".block.gamma\1"),
            (r"\.pointwise\.fc([12])\.", r".pwconv\1."),
        ),
        dead=(r"hid\.enc\.\d+\.block\.(attn\.relative_position_index|attn_mask)",),
    )

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Infer the sizes of encoder and decoder, and the translator with its sizes."""
        strided = super().infer_config(state_dict, shape)
        stack = stack_config(state_dict, shape.t_in * strided.get("hid_s", 0))
        return {**strided, **(stack or inception_config(state_dict))}

    def __init__(self, shape: ClipShape, config: SimVPConfig) -> None:
        size = feature_size(shape, config.n_s)
        super().__init__(shape, config, build_translator(shape.t_in * config.hid_s, size, config))

    def idle_macs(self) -> int:
        """Return the blocks' idle MACs; negative for HorNet and ConvMixer, whose published counts are incomplete."""
        if not isinstance(self.temporal, BlockStack):
            return 0
        passes = -(-self.shape.t_out // self.shape.t_in)
        return passes * self.temporal.idle_macs(*feature_size(self.net_shape, self.config.n_s))
