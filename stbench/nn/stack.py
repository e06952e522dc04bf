"""A stack of blocks over channel-stacked frames: the temporal module of TAU and of SimVP with any translator block.

Source: Tan et al., "OpenSTL", NeurIPS 2023. Axes: B, C = T_in·hid_S features of all past frames, H', W'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stbench.errors import UserError

FIRST_DROP_PATH = 1e-2


@dataclass(frozen=True)
class BlockPlace:
    """Where in the stack a block stands.

    Attributes:
        index: 0 for the first block.
        width: channels at which it computes.
        width_out: channels that the next block reads.
        drop_path: its rate of stochastic depth.
    """

    index: int
    width: int
    width_out: int
    drop_path: float


class StackBlock(nn.Module):
    """A block of the stack: :meth:`mix` at its input width, then a 1×1 conv where the width changes."""

    reduction: nn.Module
    """Set by the stack."""

    def mix(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W), same shape."""
        raise NotImplementedError

    def idle_macs(self, height: int, width: int) -> int:  # noqa: ARG002 - the default answer needs no look
        """Multiply-adds of one pass on one sample that the published count has besides, as :meth:`Method.idle_macs`."""
        return 0

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W)."""
        return self.reduction(self.mix(x))  # type: ignore[no-any-return]


class TokenBlock(StackBlock):
    """A block that works on the H·W positions as tokens in row order."""

    def mix(self, x: Tensor) -> Tensor:
        """(B, C, H, W), same shape; without a copy where ``x`` has the channels last in memory."""
        tokens = x.permute(0, 2, 3, 1)
        return self.mix_tokens(tokens.flatten(1, 2)).reshape(tokens.shape).permute(0, 3, 1, 2)

    def mix_tokens(self, x_BNC: Tensor) -> Tensor:
        """(B, H·W, C), same shape."""
        raise NotImplementedError


class BlockStack(nn.Module):
    """``n_t`` blocks of widths channels → hid_t → … → hid_t → channels.

    Args:
        channels: T_in·hid_S.
        block: makes the block of a place.
        drop_path: rate of stochastic depth of the last block; the first one's is 0.01, those between lie on a line.
        memory_format: what the features are brought into before the first block.

    Raises:
        UserError: ``n_t`` is below 2.
    """

    def __init__(
        self,
        channels: int,
        hid_t: int,
        n_t: int,
        block: Callable[[BlockPlace], StackBlock],
        *,
        drop_path: float,
        memory_format: torch.memory_format = torch.preserve_format,
    ) -> None:
        super().__init__()
        if n_t < 2:
            raise UserError(f"n_t = {n_t}: the temporal module needs at least 2 blocks (in and out). Use n_t >= 2.")
        self.memory_format = memory_format
        widths = [channels] + [hid_t] * (n_t - 1) + [channels]
        rates = torch.linspace(FIRST_DROP_PATH, drop_path, n_t, device="cpu").tolist()
        self.blocks = nn.ModuleList()
        for index, rate in enumerate(rates):
            place = BlockPlace(index, widths[index], widths[index + 1], rate)
            made = block(place)
            fits = place.width == place.width_out
            made.reduction = nn.Identity() if fits else nn.Conv2d(place.width, place.width_out, 1)
            self.blocks.append(made)

    def idle_macs(self, height: int, width: int) -> int:
        """Sum over the blocks, as :meth:`StackBlock.idle_macs`, for features (height, width)."""
        return sum(cast("StackBlock", block).idle_macs(height, width) for block in self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H', W'), same shape."""
        if self.memory_format is not torch.preserve_format:
            x = x.contiguous(memory_format=self.memory_format)
        for block in self.blocks:
            x = block(x)
        return x
