"""SimVP's architecture: strided encoder per frame → temporal module over stacked frames → strided decoder.

Source: Gao et al., "SimVP: Simpler yet Better Video Prediction", CVPR 2022. Axes: B, T, C, H, W.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from stbench.nn.infer import strided_config
from stbench.nn.method import EncoderConfig
from stbench.nn.padding import check_divisible
from stbench.nn.parallel import ParallelForecaster
from stbench.nn.strided import StridedDecoder, StridedEncoder, downsampling
from stbench.schema import ClipShape

STRIDED_RENAMES = (
    (r"^encoder\.blocks\.(\d+)\.", r"enc.enc.\1.conv."),
    (r"^decoder\.blocks\.(\d+)\.", r"dec.dec.\1.conv."),
    (r"^decoder\.readout\.", "dec.readout."),
)
"""Published parameter names of the strided codec."""

GATED_STACK_RENAMES = (
    (r"^temporal\.blocks\.(\d+)\.reduction\.", r"hid.enc.\1.reduction."),
    (r"^temporal\.blocks\.(\d+)\.", r"hid.enc.\1.block."),
    (r"\.gamma([12])$", r".layer_scale_\1"),
    (r"\.attention\.gate\.", ".attn.spatial_gating_unit."),
    (r"\.attention\.", ".attn."),
    (r"\.feed_forward\.expand\.", ".mlp.fc1."),
    (r"\.feed_forward\.depthwise\.", ".mlp.dwconv.dwconv."),
    (r"\.feed_forward\.shrink\.", ".mlp.fc2."),
    (r"\.local\.", ".conv0."),
    (r"\.dilated\.", ".conv_spatial."),
    (r"\.mix\.", ".conv1."),
)
"""Published parameter names of the gated stack."""


def feature_size(shape: ClipShape, n_s: int) -> tuple[int, int]:
    """Return (H', W') of the features of a strided encoder with ``n_s`` blocks.

    Raises:
        UserError: the frame's sides do not divide by its stride.
    """
    factor = downsampling(n_s)
    check_divisible(shape.height, shape.width, factor, "n_s")
    return shape.height // factor, shape.width // factor


class StackedForecaster(ParallelForecaster):
    """Encoder, module ``temporal`` on (B, T_in·hid_S, H', W'), decoder."""

    temporal: nn.Module
    small = {"hid_s": 8, "hid_t": 16, "n_t": 2}

    def __init__(self, shape: ClipShape, config: EncoderConfig, temporal: nn.Module) -> None:
        super().__init__(shape, config)
        feature_size(shape, config.n_s)
        self.encoder = StridedEncoder(shape.channels, config.hid_s, config.n_s, config.kernel_enc)
        self.temporal = temporal
        self.decoder = StridedDecoder(config.hid_s, shape.channels, config.n_s, config.kernel_dec)

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer the sizes of the strided codec; a subclass adds those of its temporal module."""
        return strided_config(state_dict)

    def predict_block(self, past: Tensor) -> Tensor:
        """Predict the next T_in frames after ``past`` (B, T_in, C, H, W)."""
        batch, t_in = past.shape[:2]
        features, skip = self.encoder(past.flatten(0, 1))
        stacked = features.reshape(batch, -1, *features.shape[2:])
        hidden = self.temporal(stacked).reshape(features.shape)
        return self.decoder(hidden, skip).unflatten(0, (batch, t_in))  # type: ignore[no-any-return]
