"""MMVP, Motion-Matrix-based Video Prediction (Zhong et al., ICCV 2023). Axes: B, T, C, H, W; P positions of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from stbench.errors import UserError
from stbench.nn import Method, MethodConfig, Paper, Progress, PublicLayout, check_divisible, mean_squared_error
from stbench.nn.infer import depth, known, size
from stbench.schema import Benchmark, ClipShape

from .blocks import Down, ResidualDense, Up, motion_filter
from .matrices import compose, normalise, resize, similarity
from .predictor import MatrixPredictor
from .presets import PRESETS

Ratio = Literal[2, 4]
Motion = tuple[Tensor, Tensor]
"""Normalised motion matrices: (B, T_in−1, P, P) between past frames, (B, T_out, P, P) to future frames."""
KEPT = 3
"""Number of resolutions that are predicted, the coarsest ones of the encoder."""


class MMVPConfig(MethodConfig):
    """Hyperparameters of MMVP.

    ``hid_s``: width of the finest features. ``hid_t``: width of the matrix predictor. ``ratios``: factors between the
    encoder's resolutions. ``trained_on``: "past" trains the filters on past frames only, as in prediction. "clip"
    repeats the published trainer, which also passes future frames through the filters, so that their batch statistics
    depend on the future.
    """

    hid_s: PositiveInt = 32
    hid_t: PositiveInt = 192
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=2, max_length=3)] = (2, 2, 2)
    encoder_blocks: PositiveInt = 2
    decoder_blocks: PositiveInt = 2
    enhancer_blocks: PositiveInt = 2
    trained_on: Literal["past", "clip"] = "past"


class Encoder(nn.Module):
    """Encode each frame separately into features F_0 … F_S."""

    def __init__(self, channels: int, width: int, ratios: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualDense(width) for _ in range(blocks)))
        *front, high, low = [Down(width << k, width << (k + 1), ratio) for k, ratio in enumerate(ratios)]
        self.front, self.high, self.low = nn.ModuleList(front), high, low

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Map (N, C, H, W) to features F_k (N, width·2^k, …), finest first."""
        features = [self.blocks(self.enter(F.pixel_unshuffle(frames, 2)))]
        for down in (*self.front, self.high, self.low):
            features.append(down(features[-1]))
        return features


class Decoder(nn.Module):
    """Decode predicted features to a frame."""

    def __init__(self, channels: int, width: int, ratios: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        first_kept = len(ratios) + 1 - KEPT
        ups = [Up(width << (k + 1), width << k, ratio, k >= first_kept) for k, ratio in enumerate(ratios)]
        self.low, self.ups = ups[-1], nn.ModuleList(reversed(ups[:-1]))
        self.blocks = nn.Sequential(*(ResidualDense(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, 4 * channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features (N, …), coarsest first, to frames (N, C, H, W)."""
        x, skip, *finer = features
        x = self.low(x, skip)
        for index, up in enumerate(self.ups):
            x = up(x, finer[index] if index < len(finer) else None)
        return F.pixel_shuffle(self.leave(self.blocks(x)), 2)


class Enhancer(nn.Module):
    """Refine the decoded frame with past pixels moved by the same matrices."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        enter = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.body = nn.Sequential(enter, *(ResidualDense(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, channels, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (N, 2C, H, W) to (N, C, H, W)."""
        return self.leave(self.body(frames))  # type: ignore[no-any-return]


class MMVP(Method):
    """Predict the motion between frames as matrices over positions and apply them to past features."""

    Config = MMVPConfig
    config: MMVPConfig
    paper = Paper(
        title="MMVP: Motion-Matrix-based Video Prediction",
        authors="Zhong et al.",
        venue="ICCV 2023",
        url="https://arxiv.org/abs/2308.16154",
    )
    summary = "predicts motion matrices between positions and applies them to past features"
    pads_frames = True
    leaves_out_missing = True
    presets = PRESETS
    small = {
        "hid_s": 8,
        "hid_t": 8,
        "ratios": (2, 2),
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "enhancer_blocks": 1,
    }
    variants = {"clip": {"trained_on": "clip"}}
    public_layout = PublicLayout(
        renames=(
            (r"^encoder\.enter\.", "enc.inconv."),
            (r"^encoder\.blocks\.", "enc.block_rrdb."),
            (r"^encoder\.front\.", "enc.pre_downsample_block."),
            (r"^encoder\.(high|low)\.", r"enc.downsample_\1."),
            (r"^filter_high\.", "filter.filter_block.0."),
            (r"^filter_low\.", "filter.filter_block.1."),
            (r"^predictor\.enter\.", "hid.predictor.conv1."),
            (r"^predictor\.leave\.", "hid.predictor.out_conv."),
            (r"^predictor\.past\.", "predictor.conv3d_1."),
            (r"^predictor\.future\.(weight|bias)$", r"predictor.temporal_layer.0.\1"),
            (r"^predictor\.future\.", "predictor.temporal_layer."),
            (r"^predictor\.(conv3d_1|temporal_layer)\.conv\.", r"predictor.\1.conv3d."),
            (r"^predictor\.(conv3d_1|temporal_layer)\.norm\.", r"predictor.\1.bn3d."),
            (r"^predictor\.translate\.", "predictor.conv_translate.0."),
            (r"^predictor\.translate_norm\.", "predictor.bn_translate."),
            (r"^predictor\.(pre_1|pre_2)\.conv\.", r"predictor.conv_\1."),
            (r"^predictor\.(pre_1|pre_2)\.norm\.", r"predictor.bn_\1."),
            *(
                (rf"^predictor\.{own}\.{part}\.", f"predictor.{kind}{number}_1.")
                for number, own in enumerate(("down_1", "down_2", "up_1", "up_2"), 1)
                for part, kind in (("conv", "conv"), ("norm", "bn"))
            ),
            (r"^predictor\.", "hid.predictor.predictor."),
            (r"^decoder\.low\.", "dec.upsample_block_low2high."),
            (r"^decoder\.ups\.", "dec.upsample_block."),
            (r"^(dec\.upsample_block.*)\.conv\.weight$", r"\1.conv.conv.0.weight"),
            (r"^decoder\.blocks\.", "dec.rrdb_block."),
            (r"^decoder\.leave\.", "dec.outc."),
            (r"^enhancer\.body\.", "enhance.model."),
            (r"^enhancer\.leave\.", "enhance.outconv."),
        ),
        dead=(r"hid\.scale_fuser_[12]\..*", r"hid\.predictor\.fuse_conv\..*"),
    )

    def __init__(self, shape: ClipShape, config: MMVPConfig) -> None:
        super().__init__(shape, config)
        if shape.t_in < 2:
            raise UserError(f"t_in = {shape.t_in}: MMVP compares past frames with each other. Give at least 2.")
        check_divisible(shape.height, shape.width, 2 * prod(config.ratios), "ratios")
        ratios, width, levels = config.ratios, config.hid_s, len(config.ratios)
        self.encoder = Encoder(shape.channels, width, ratios, config.encoder_blocks)
        self.filter_high = motion_filter(width << (levels - 1), width)
        self.filter_low = motion_filter(width << levels, 2 * width)
        self.predictor = MatrixPredictor(config.hid_t, shape.t_in - 1, shape.t_out)
        self.decoder = Decoder(shape.channels, width, ratios, config.decoder_blocks)
        self.enhancer = Enhancer(shape.channels, width, config.enhancer_blocks)

    @classmethod
    def skip(cls, benchmark: Benchmark) -> str | None:
        """Skip benchmarks with fewer than two past frames."""
        if benchmark.shape.t_in < 2:
            return "needs at least 2 past frames"
        return None

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:  # noqa: ARG003
        """Infer widths, depths and ratios; a ratio is the kernel size of a transposed convolution of the decoder."""
        fine = depth(state_dict, "dec.upsample_block") or 0
        ups = [f"upsample_block.{index}" for index in reversed(range(fine))] + ["upsample_block_low2high"]
        ratios = tuple(size(state_dict, f"dec.{up}.up.weight", 2) for up in ups)
        blocks = depth(state_dict, "enhance.model")
        return known(
            hid_s=size(state_dict, "enc.inconv.weight", 0),
            hid_t=size(state_dict, "hid.predictor.conv1.weight", 0),
            ratios=ratios if fine and all(ratios) else None,
            encoder_blocks=depth(state_dict, "enc.block_rrdb"),
            decoder_blocks=depth(state_dict, "dec.rrdb_block"),
            enhancer_blocks=blocks - 1 if blocks else None,
        )

    def idle_macs(self) -> int:
        """Count what published code computes besides: it forms every product of matrices per future frame and level.

        It also resizes the finer features to the size that they have. Published counts are of evaluation mode, in which
        a BatchNorm counts 2 per element instead of 5.
        """
        s, t_in, t_out = self.config.hid_s, self.shape.t_in, self.shape.t_out
        factor, high = prod(self.config.ratios[:-1]), prod(self._grid)
        low = high // self.config.ratios[-1] ** 2
        top = len(self.config.ratios)
        finer = (s << (top - 2)) * self.config.ratios[-2] ** 2
        channels = ((s << (top - 1)) + finer + 4 * self.shape.channels * factor**2, high), (s << top, low)
        run = (t_in - 1 + t_out) * sum((width + 1) * grid**2 for width, grid in channels)
        composed = t_in * t_out * sum(width * grid**2 for width, grid in channels)
        chained = t_out * (t_in - 1) * (3 * high**3 + low**3)
        resized = 4 * t_in * finer * high
        normed = 3 * t_in * s * (high + 2 * low) + self.predictor.normalised(self._grid)
        return composed + chained + resized - run - 3 * normed

    @property
    def _grid(self) -> tuple[int, int]:
        """(h, w) of the high grid."""
        factor = 2 * prod(self.config.ratios[:-1])
        return self.net_shape.height // factor, self.net_shape.width // factor

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, T_in, C, H, W) to (B, T_out, C, H, W)."""
        self.check_past(past)
        return self._predict(past, past)

    def training_losses(self, past: Tensor, future: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Return the mean squared error; with ``trained_on`` "clip" the filters also see the future."""
        known = progress.known_from(self.shape.t_in)
        clip = past
        if self.config.trained_on == "clip":
            shown = future if known is None else torch.where(known.mask, future, past[:, -1:])
            clip = torch.cat([past, shown], dim=1)
        mse = mean_squared_error(self._predict(past, clip), future, known)
        return {"loss": mse, "mse": mse}

    def motion_matrices(self, high: Tensor, low: Tensor) -> tuple[Motion, Motion]:
        """Return the normalised matrices of past and future, on the high and on the low grid.

        Args:
            high, low: F_{S−1} and F_S (B, T, C, h, w) of the frames that the filters see; the first T_in are the past.
        """
        grids = ((self.filter_high, high), (self.filter_low, low))
        past_high, past_low = (
            similarity(filters(level.flatten(0, 1)).unflatten(0, level.shape[:2])[:, : self.shape.t_in].flatten(3))
            for filters, level in grids
        )
        images = past_high.transpose(1, 2).reshape(-1, self.shape.t_in - 1, *high.shape[3:])
        future_high = self.predictor(images).view(len(high), -1, self.shape.t_out, prod(self._grid)).transpose(1, 2)
        future_low = resize(future_high, (high.shape[3], high.shape[4]), (low.shape[3], low.shape[4]))
        return (normalise(past_high), normalise(future_high)), (normalise(past_low), normalise(future_low))

    def _predict(self, past: Tensor, shown: Tensor) -> Tensor:
        """Predict the future of ``past``; the filters see ``shown``, whose first frames are the past."""
        past, shown = self.pad(past), self.pad(shown)
        features = [level.unflatten(0, shown.shape[:2]) for level in self.encoder(shown.flatten(0, 1))]
        on_high, on_low = self.motion_matrices(features[-2], features[-1])
        coarsest, *finer = [level[:, : self.shape.t_in] for level in reversed(features[-KEPT:])]
        (moved_coarsest,) = _move([coarsest], on_low)
        *moved, pixels = _move([*finer, F.pixel_unshuffle(past, 2)], on_high)
        decoded = self.decoder([level.flatten(0, 1) for level in (moved_coarsest, *moved)])
        pixels = F.pixel_shuffle(pixels, 2).flatten(0, 1)
        frames = self.enhancer(torch.cat([decoded, pixels], dim=1))
        return self.crop(frames.unflatten(0, (len(past), -1)).to(past.dtype))


def _move(levels: Sequence[Tensor], matrices: Motion) -> list[Tensor]:
    """Move features (B, T_in, C, H, W) of several resolutions by matrices on the grid of the first."""
    grid = levels[0].shape[3:]
    factors = [level.shape[3] // grid[0] for level in levels]
    folded = [F.pixel_unshuffle(level, factor).flatten(3) for level, factor in zip(levels, factors, strict=True)]
    moved = compose(torch.cat(folded, dim=2), *matrices)
    parts = torch.split(moved.view(*moved.shape[:3], *grid), [level.shape[2] for level in folded], dim=2)
    return [F.pixel_shuffle(part, factor) for part, factor in zip(parts, factors, strict=True)]
