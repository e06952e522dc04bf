"""Gated transformer blocks and their stacks over space or time.

Axes: B, T, N patches of a frame, L tokens of a sequence, d features.
Source: Tang et al., "PredFormer", 2024 (§3.2, Fig. 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional as F

from stbench.nn import recompute
from stbench.nn.attention import SelfAttention
from stbench.nn.drop_path import DropPath
from stbench.nn.initial import shrink_linear

Along = Literal["space", "time", "both"]


class SwiGLU(nn.Module):
    """SiLU(Wg x) ⊙ (Wx x), d → ratio·d, and a linear map back; dropout after the product and at the end."""

    def __init__(self, width: int, ratio: int, drop: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, ratio * width)
        self.value = nn.Linear(width, ratio * width)
        self.shrink = nn.Linear(ratio * width, width)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, d) to the same shape; the backward pass stores the wide maps and computes what follows again."""
        wide = self.gate(x), self.value(x)
        if self.drop.p > 0:  # drawing again which values are dropped would take longer than all the rest
            return self.drop(self.shrink(self.drop(recompute(_gated, *wide))))  # type: ignore[no-any-return]
        return self.drop(recompute(lambda *wide: self.shrink(_gated(*wide)), *wide))  # type: ignore[no-any-return]


def _gated(gate: Tensor, value: Tensor) -> Tensor:
    return F.silu(gate) * value


class GatedTransformerBlock(nn.Module):
    """x ← x + DropPath(attention(LN x)); x ← x + DropPath(SwiGLU(LN x))."""

    def __init__(
        self, width: int, heads: int, head_width: int, ratio: int, *, drop: float, attn_drop: float, drop_path: float
    ) -> None:
        super().__init__()
        one_plain_head = heads == 1 and head_width == width
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(
            width, heads, head_width=head_width, qkv_bias=False, project=not one_plain_head, drop=attn_drop
        )
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = SwiGLU(width, ratio, drop)
        self.drop_path = DropPath(drop_path)
        self.apply(shrink_linear)

    def forward(self, x_BLd: Tensor) -> Tensor:
        """Map (B, L, d) to the same shape; stochastic depth draws once per sequence."""
        x_BLd = self.drop_path.add(x_BLd, self.attention(self.norm1(x_BLd)))
        return self.drop_path.add(x_BLd, self.feed_forward(self.norm2(x_BLd)))


class Stack(nn.Module):
    """Blocks in sequence, then a LayerNorm; tokens attend to each other along the sequences named by ``along``.

    "space": the patches of a frame; "time": the frames of a patch; "both": all tokens of a clip, time-major.
    """

    def __init__(self, blocks: Sequence[GatedTransformerBlock], width: int, along: Along) -> None:
        super().__init__()
        self.along = along
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BTNd: Tensor) -> Tensor:
        """Map (B, T, N, d) to the same shape. Transposes between two stacks along time cancel without a copy."""
        if self.along == "both":
            return self._run(x_BTNd.flatten(1, 2)).view(x_BTNd.shape)
        if self.along == "time":
            x_BNTd = x_BTNd.transpose(1, 2)
            return self._run(x_BNTd.flatten(0, 1)).view(x_BNTd.shape).transpose(1, 2)
        return self._run(x_BTNd.flatten(0, 1)).view(x_BTNd.shape)

    def _run(self, x_BLd: Tensor) -> Tensor:
        for block in self.blocks:
            x_BLd = block(x_BLd)
        return cast("Tensor", self.norm(x_BLd))


class Layer(nn.Module):
    """Stacks in order of application; with ``skip`` the input is added to the output."""

    def __init__(self, stacks: dict[str, Stack], *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.stacks = nn.ModuleDict(stacks)

    def forward(self, x_BTNd: Tensor) -> Tensor:
        """Map (B, T, N, d) to the same shape."""
        y_BTNd = x_BTNd
        for stack in self.stacks.values():
            y_BTNd = stack(y_BTNd)
        return x_BTNd + y_BTNd if self.skip else y_BTNd
