"""Hyperparameters of SwinLSTM."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from stbench.nn import EncoderConfig
from stbench.nn.output import OutputActivation

Rate = Annotated[float, Field(ge=0, lt=1)]
Levels = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class SwinLSTMConfig(EncoderConfig):
    """Hyperparameters of SwinLSTM.

    ``model`` "b" is one cell of ``depth`` blocks with ``num_heads[0]`` heads. "d" has one cell per level on the way
    down and one on the way up, with ``num_heads`` per level. The last number of ``depths_upsample`` is that of the
    deepest level. The sigmoid limits the output to [0, 1].
    """

    model: Literal["b", "d"] = "b"
    embed_dim: PositiveInt = 128
    window: PositiveInt = 4
    mlp_ratio: PositiveFloat = 4.0
    depth: PositiveInt = 12
    num_heads: Levels = (4, 8)
    depths_downsample: Levels = (2, 6)
    depths_upsample: Levels = (6, 2)
    drop: Rate = 0.0
    drop_path: Rate = 0.1
    output_activation: OutputActivation = "sigmoid"

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        lengths = {len(self.num_heads), len(self.depths_downsample), len(self.depths_upsample)}
        if self.model == "d" and len(lengths) > 1:
            raise ValueError(
                "num_heads, depths_downsample and depths_upsample need one number per level each, "
                f"got {len(self.num_heads)}, {len(self.depths_downsample)} and {len(self.depths_upsample)}"
            )
        return self
