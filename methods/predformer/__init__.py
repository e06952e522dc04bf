"""PredFormer (Tang et al., 2024, arXiv 2410.04733): a pure transformer over the patches of all past frames.

Axes: B, T, C, H, W, N patches of a frame (row by row), d features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, isqrt
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn import EncoderConfig, Paper, ParallelForecaster, PublicLayout
from stbench.nn.infer import depth as count_parts
from stbench.nn.infer import known, size
from stbench.schema import Benchmark, ClipShape

from .codec import PatchTokens, StridedTokens, sinusoids
from .presets import PRESETS
from .transformer import Along, GatedTransformerBlock, Layer, Stack

Rate = Annotated[float, Field(ge=0, lt=1)]
Variant = Literal[
    "fullattention",
    "facst",
    "facts",
    "binary_ts",
    "binary_st",
    "triplet_tst",
    "triplet_sts",
    "quadruplet_tsst",
    "quadruplet_stts",
]


@dataclass(frozen=True)
class Arrangement:
    """Stacks in order of application, by their published names; ``layered`` repeats them Ndepth times."""

    layered: bool
    stacks: Mapping[str, Along]


ARRANGEMENTS: Mapping[Variant, Arrangement] = {
    "fullattention": Arrangement(False, {"space_temporal_transformer": "both"}),
    "facst": Arrangement(False, {"space_transformer": "space", "temporal_transformer": "time"}),
    "facts": Arrangement(False, {"temporal_transformer": "time", "space_transformer": "space"}),
    "binary_ts": Arrangement(True, {"ts_temporal_transformer": "time", "ts_space_transformer": "space"}),
    "binary_st": Arrangement(True, {"st_space_transformer": "space", "st_temporal_transformer": "time"}),
    "triplet_tst": Arrangement(
        True,
        {"temporal_transformer_first": "time", "space_transformer": "space", "temporal_transformer_second": "time"},
    ),
    "triplet_sts": Arrangement(
        True,
        {"space_transformer_first": "space", "temporal_transformer": "time", "space_transformer_second": "space"},
    ),
    "quadruplet_tsst": Arrangement(
        True,
        {
            "ts_temporal_transformer": "time",
            "ts_space_transformer": "space",
            "st_space_transformer": "space",
            "st_temporal_transformer": "time",
        },
    ),
    "quadruplet_stts": Arrangement(
        True,
        {
            "st_space_transformer": "space",
            "st_temporal_transformer": "time",
            "ts_temporal_transformer": "time",
            "ts_space_transformer": "space",
        },
    ),
}


class PredFormerConfig(EncoderConfig):
    """Hyperparameters of PredFormer; the defaults are those of its TaxiBJ setting.

    ``variant``: order of the stacks. ``blocks``: total number of gated transformer blocks, which gives the number of
    layers (rounded down). ``ndepth``: the number of layers itself, the published Ndepth. ``depth``: blocks per stack in
    the interleaved variants. ``layer_skip``: adds each layer's input to its output in those variants. ``scale_dim``:
    width of the feed-forward part in units of ``dim``. ``attn_dropout``: acts on the output of attention, not on its
    weights.

    ``token_order``: "public" passes facst's tokens to the head in (patch, time) order, as the published code and
    checkpoints do, although the head reads (time, patch). The other variants are unaffected.
    """

    variant: Variant = "quadruplet_tsst"
    patch: PositiveInt = 4
    dim: PositiveInt = 256
    heads: PositiveInt = 8
    dim_head: PositiveInt = 32
    scale_dim: PositiveInt = 4
    blocks: PositiveInt = 8
    ndepth: PositiveInt | None = None
    depth: PositiveInt = 1
    dropout: Rate = 0.1
    attn_dropout: Rate = 0.1
    drop_path: Rate = 0.1
    layer_skip: bool = False
    token_order: Literal["ordered", "public"] = "ordered"


PATCH_OF_ODD_FRAMES = 4


class PredFormer(ParallelForecaster):
    """Tokens from patches of all past frames, gated transformer stacks over space and time, a linear head."""

    Config = PredFormerConfig
    config: PredFormerConfig
    paper = Paper(
        title="Video Prediction Transformers without Recurrence or Convolution",
        authors="Tang et al.",
        venue="arXiv 2024",
        url="https://arxiv.org/abs/2410.04733",
    )
    summary = "feed-forward pure transformer with attention over patches and over time"
    variants = {name: {"variant": name} for name in ARRANGEMENTS}
    presets = PRESETS
    ask_for = ("variant",)
    small = {"dim": 16, "heads": 2, "dim_head": 8, "scale_dim": 2, "blocks": 4}
    public_layout = PublicLayout(
        renames=(
            (r"^codec\.embed\.", "to_patch_embedding.1."),
            (r"^codec\.norm\.", "mlp_head.0."),
            (r"^codec\.head\.", "mlp_head.1."),
            (r"^layers\.whole\.stacks\.", ""),
            (r"^layers\.(\d+)\.stacks\.", r"blocks.\1."),
            (r"\.blocks\.(\d+)\.norm1\.", r".layers.\1.0.norm."),
            (r"\.blocks\.(\d+)\.norm2\.", r".layers.\1.1.norm."),
            (r"\.blocks\.(\d+)\.attention\.qkv\.", r".layers.\1.0.fn.to_qkv."),
            (r"\.blocks\.(\d+)\.attention\.proj\.", r".layers.\1.0.fn.to_out.0."),
            (r"\.blocks\.(\d+)\.feed_forward\.gate\.", r".layers.\1.1.fn.fc1_g."),
            (r"\.blocks\.(\d+)\.feed_forward\.value\.", r".layers.\1.1.fn.fc1_x."),
            (r"\.blocks\.(\d+)\.feed_forward\.shrink\.", r".layers.\1.1.fn.fc2."),
        ),
    )
    positions: Tensor
    """(T_in, N, d): added to the tokens."""

    def __init__(self, shape: ClipShape, config: PredFormerConfig) -> None:
        super().__init__(shape, config)
        arrangement = ARRANGEMENTS[config.variant]
        if config.layer_skip and not arrangement.layered:
            raise UserError(f"layer_skip: {config.variant} has no layers to skip. Use an interleaved variant.")
        self.codec: PatchTokens | StridedTokens = (
            StridedTokens(shape, config.dim, config)
            if config.encoder == "shared"
            else PatchTokens(shape, config.patch, config.dim)
        )
        ndepth = config.ndepth or _layers(config)
        names = [str(i) for i in range(ndepth)] if arrangement.layered else ["whole"]
        per_stack = config.depth if arrangement.layered else ndepth
        self.layers = nn.ModuleDict({name: self._layer(arrangement, per_stack) for name in names})
        table = sinusoids(shape.t_in * self.codec.rows * self.codec.columns, config.dim)
        self.register_buffer("positions", table.reshape(shape.t_in, -1, config.dim), persistent=False)

    def _layer(self, arrangement: Arrangement, blocks: int) -> Layer:
        config = self.config
        stacks = {
            name: Stack([_block(config) for _ in range(blocks)], config.dim, along)
            for name, along in arrangement.stacks.items()
        }
        return Layer(stacks, skip=config.layer_skip)

    @classmethod
    def adapt(cls, benchmark: Benchmark) -> dict[str, Any]:
        """Choose the largest patch, up to the default one, that divides the frame; odd sizes are padded.

        A patch of one pixel would make every pixel a token.
        """
        common = gcd(benchmark.shape.height, benchmark.shape.width, PredFormerConfig().patch)
        return {"patch": common if common > 1 else PATCH_OF_ODD_FRAMES}

    @classmethod
    def infer_config(cls, state_dict: Mapping[str, Tensor], shape: ClipShape) -> dict[str, Any]:
        """Infer the sizes of the tokens and of the stacks.

        The variant, and how the attention's width is split into heads, do not always show in a file.
        """
        values, width = (size(state_dict, "to_patch_embedding.1.weight", dim) for dim in (1, 0))
        patch = isqrt(values // shape.channels) if values else 0
        end = ".layers.0.0.norm.weight"
        stack = next((key.removesuffix(end) for key in state_dict if key.endswith(end)), "")
        layered, per_stack = count_parts(state_dict, "blocks"), count_parts(state_dict, f"{stack}.layers")
        wide = size(state_dict, f"{stack}.layers.0.1.fn.fc1_x.weight", 0)
        headless = bool(stack) and f"{stack}.layers.0.0.fn.to_out.0.weight" not in state_dict
        return known(
            patch=patch if patch and patch**2 * shape.channels == values else None,
            dim=width,
            heads=1 if headless else None,
            dim_head=width if headless else None,
            scale_dim=wide // width if wide and width else None,
            ndepth=layered or per_stack,
            depth=per_stack if layered else None,
        )

    def predict_block(self, past: Tensor) -> Tensor:
        """Predict the next T_in frames after ``past`` (B, T_in, C, H, W)."""
        tokens_BTNd, skip = self.codec.encode(past)
        tokens_BTNd = tokens_BTNd + self.positions
        for layer in self.layers.values():
            tokens_BTNd = layer(tokens_BTNd)
        if self.config.variant == "facst" and self.config.token_order == "public":
            tokens_BTNd = tokens_BTNd.transpose(1, 2).reshape(tokens_BTNd.shape)
        return self.codec.decode(tokens_BTNd, skip)

    def idle_macs(self) -> int:
        """Return the rounding of published counts: fvcore rounds the two products of attention to four digits each."""
        config, shape, patches = self.config, self.shape, self.positions.shape[1]
        sequences = {"space": (shape.t_in, patches), "time": (patches, shape.t_in), "both": (1, shape.t_in * patches)}
        stacks = [module for module in self.modules() if isinstance(module, Stack)]
        difference = 0
        for stack in stacks:
            number, length = sequences[stack.along]
            exact = number * length**2 * config.heads * config.dim_head
            difference += 2 * len(stack.blocks) * (int(float(f"{2 * exact:.3e}") // 2) - exact)
        return difference * -(-shape.t_out // shape.t_in)


def _layers(config: PredFormerConfig) -> int:
    """Return the largest Ndepth that needs at most ``blocks`` blocks."""
    arrangement = ARRANGEMENTS[config.variant]
    per_layer = len(arrangement.stacks) * (config.depth if arrangement.layered else 1)
    if config.blocks < per_layer:
        raise UserError(f"blocks = {config.blocks}: a layer of {config.variant} needs {per_layer}. Use at least those.")
    return config.blocks // per_layer


def _block(config: PredFormerConfig) -> GatedTransformerBlock:
    return GatedTransformerBlock(
        config.dim,
        config.heads,
        config.dim_head,
        config.scale_dim,
        drop=config.dropout,
        attn_drop=config.attn_dropout,
        drop_path=config.drop_path,
    )
