"""WaST, Wavelet-based Spatio-Temporal framework (Nie et al., AAAI 2024). Axes: B, T, C, H, W."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn import (
    MethodConfig,
    Paper,
    ParallelForecaster,
    Progress,
    PublicLayout,
    check_divisible,
    mean_squared_error,
)
from stbench.nn.infer import depth, known, size
from stbench.schema import Benchmark, ClipShape

from .blocks import FrequencyStack, set_drop_path
from .loss import high_focal_frequency_loss
from .presets import PRESETS
from .wavelets import analyse, synthesise

OUTER_KERNEL = 51
INNER_KERNEL = 21
BANDS = 8
KEPT = 6
"""Bands that bypass the inner stack: all but LLL and LLH."""


class WaSTConfig(MethodConfig):
    """Hyperparameters of WaST.

    ``encoder_dim``: width of a frame's features. ``blocks``: depths of the three stacks. ``drop_path_mode``: stochastic
    depth has rate ``drop_path`` throughout ("standard"), from epoch ``drop_path_epoch`` on ("late") or before it
    ("early"). ``hffl_weight``: weight of the high focal frequency loss; the other ``hffl_`` fields are its parameters.
    """

    encoder_dim: PositiveInt = 20
    blocks: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt] = (2, 2, 2)
    mlp_ratio: PositiveFloat = 4.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path_mode: Literal["standard", "early", "late"] = "late"
    drop_path_epoch: NonNegativeInt = 20
    hffl_weight: NonNegativeFloat = 1e-3
    hffl_alpha: PositiveFloat = 1.0
    hffl_tau: NonNegativeFloat = 0.1
    hffl_levels: PositiveInt = 1


def conv_block(c_in: int, c_out: int, groups: int = 1) -> nn.Sequential:
    """3×3×3 conv → BatchNorm → GELU over (B, C, T, H, W)."""
    conv = nn.Conv3d(c_in, c_out, 3, padding=1, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm3d(c_out), nn.GELU())


class WaveletEmbed(nn.Module):
    """Take features down one wavelet level and add the bands of the clip itself."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv_0 = conv_block(width, width)
        self.conv_1 = conv_block(width, 2 * width)
        self.conv_emb = nn.Conv3d(BANDS // 2 * channels, 2 * width, 3, padding=1)

    def forward(self, features: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Split (B, e, T, H, W), with clip (B, C, T, H, W), into (B, 2e, T, H/2, W/2) and bands (B, 6e, T/2, H/2, W/2).

        The two bands of the features are concatenated in time; those of the clip are grouped by their letter for width.
        """
        bands, own = analyse(self.conv_0(features)), analyse(clip)
        low = torch.cat([bands[:, 0], bands[:, 1]], dim=2)
        split = torch.cat([own[:, 0::2].flatten(1, 2), own[:, 1::2].flatten(1, 2)], dim=2)
        return self.conv_1(low) + self.conv_emb(split), bands[:, BANDS - KEPT :].flatten(1, 2)


class WaveletReconstruct(nn.Module):
    """Take features and the bypassed bands up one wavelet level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_0 = conv_block(2 * width, width)
        self.conv_hi = conv_block(KEPT * width, KEPT * width, groups=KEPT)

    def forward(self, features: Tensor, kept: Tensor) -> Tensor:
        """Map (B, 2e, T, H/2, W/2) and bands (B, 6e, T/2, H/2, W/2) to (B, e, T, H, W)."""
        low = torch.stack(self.conv_0(features).chunk(2, dim=2), dim=1)
        return synthesise(torch.cat([low, self.conv_hi(kept).unflatten(1, (KEPT, -1))], dim=1))


class WaST(ParallelForecaster):
    """A U-net of one 3-D wavelet level with large-kernel stacks, and a loss on high frequencies."""

    Config = WaSTConfig
    config: WaSTConfig
    paper = Paper(
        title="Wavelet-Driven Spatiotemporal Predictive Learning: Bridging Frequency and Time Variations",
        authors="Nie et al.",
        venue="AAAI 2024",
        url="https://doi.org/10.1609/aaai.v38i5.28230",
    )
    summary = "3-D wavelets in place of an encoder, large kernels, a high-frequency loss"
    leaves_out_missing = True
    presets = PRESETS
    small = {"encoder_dim": 4, "blocks": (1, 1, 1)}
    public_layout = PublicLayout(
        renames=(
            (r"^enter\.", "conv_in."),
            (r"^outer_1\.", "translator1."),
            (r"^embed\.", "wavelet_embed1."),
            (r"^inner\.", "bottleneck_translator."),
            (r"^reconstruct\.", "wavelet_recon1."),
            (r"^join\.", "translator2.concat_block."),
            (r"^outer_2\.", "translator2."),
            (r"^leave\.", "conv_out."),
            (r"\.gamma$", ".layer_scale_1"),
        ),
        dead=(r".*\.layer_scale_2", r".*\.I?DWT\.filters"),
    )

    def __init__(self, shape: ClipShape, config: WaSTConfig) -> None:
        super().__init__(shape, config)
        if shape.t_in % 2:
            raise UserError(f"t_in = {shape.t_in}: WaST's wavelets need an even number of past frames.")
        check_divisible(shape.height, shape.width, 2, "the wavelets")
        width, stacked, ratio = config.encoder_dim, config.encoder_dim * shape.t_in, config.mlp_ratio
        self.enter = conv_block(shape.channels, width)
        self.outer_1 = FrequencyStack(stacked, config.blocks[0], OUTER_KERNEL, ratio)
        self.embed = WaveletEmbed(width, shape.channels)
        self.inner = FrequencyStack(2 * stacked, config.blocks[1], INNER_KERNEL, ratio)
        self.reconstruct = WaveletReconstruct(width)
        self.join = nn.Conv2d(2 * stacked, stacked, 3, padding=1)
        self.outer_2 = FrequencyStack(stacked, config.blocks[2], OUTER_KERNEL, ratio)
        self.leave = nn.Sequential(nn.BatchNorm3d(width), nn.GELU(), nn.Conv3d(width, shape.channels, 3, padding=1))

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:
        """Skip benchmarks with an odd number of past frames: wavelets halve the clip in time too."""
        return "needs an even number of past frames" if benchmark.shape.t_in % 2 else None

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer width, depths and feed-forward ratio (up to the rounding to a multiple of 8)."""
        width = size(state_dict, "conv_in.0.weight", 0)
        stacks = ("translator1", "bottleneck_translator", "translator2")
        mixers = (f"{stack}.blocks.0.temporal_mixer.conv_pw.weight" for stack in stacks)
        ratios = [state_dict[key].shape[0] / state_dict[key].shape[1] for key in mixers if key in state_dict]
        return known(
            encoder_dim=width,
            blocks=tuple(depth(state_dict, f"{stack}.blocks") or 0 for stack in stacks) if width else None,
            mlp_ratio=ratios[0] if ratios else None,
        )

    def idle_macs(self) -> int:
        """Add the wavelets, which published code computes as convolutions; subtract the 5×5 and large kernels.

        fvcore does not count convolutions with ``padding="same"``: the published count misses 252 million multiply-adds
        of the published setting.
        """
        pixels = self.net_shape.height * self.net_shape.width
        wavelets = BANDS * self.shape.t_in * pixels * (2 * self.config.encoder_dim + self.shape.channels)
        unpriced = (self.outer_1.unpriced + self.outer_2.unpriced) * pixels + self.inner.unpriced * (pixels // 4)
        return wavelets - unpriced

    def predict_block(self, past: Tensor) -> Tensor:
        """Predict the next T_in frames after ``past`` (B, T_in, C, H, W)."""
        clip = past.transpose(1, 2)
        features = self.enter(clip)
        skip = self.outer_1(features.flatten(1, 2))
        inner, kept = self.embed(skip.view_as(features), clip)
        inner = self.inner(inner.flatten(1, 2)).view_as(inner)
        outer = self.reconstruct(inner, kept).flatten(1, 2)
        outer = self.outer_2(self.join(torch.cat([outer, skip], dim=1)))
        return self.leave(outer.view_as(features)).transpose(1, 2)  # type: ignore[no-any-return]

    def drop_path_rate(self, epoch: int) -> float:
        """Return the stochastic depth rate of the last block in an epoch."""
        late = epoch >= self.config.drop_path_epoch
        on = {"standard": True, "early": not late, "late": late}[self.config.drop_path_mode]
        return self.config.drop_path if on else 0.0

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Return MSE + ``hffl_weight`` · high focal frequency loss; sets the epoch's stochastic depth first."""
        set_drop_path((self.outer_1, self.inner, self.outer_2), self.drop_path_rate(progress.epoch))
        pred = self(past)
        known = progress.known_from(self.shape.t_in)
        mse = mean_squared_error(pred, future, known)
        if self.config.hffl_weight == 0:
            return {"loss": mse, "mse": mse}
        config = self.config
        if known is not None:
            pred = torch.where(known.mask, pred, future)  # spectra need every cell: no error where none is known
        frames = self.pad(pred), self.pad(future)  # wavelets halve the frame; mirror images add no error of their own
        hffl = high_focal_frequency_loss(
            *frames, alpha=config.hffl_alpha, tau=config.hffl_tau, levels=config.hffl_levels
        )
        return {"loss": mse + config.hffl_weight * hffl, "mse": mse, "hffl": hffl}
