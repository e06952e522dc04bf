"""A stack of blocks over channel-stacked frames: the temporal module of TAU and of SimVP's MetaFormer translators.

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
    """Place of a block in the stack.

    Attributes:
        index: 0 for the first block.
        width: input channels.
        width_out: output channels.
        drop_path: its rate of stochastic depth.
    """

    index: int
    width: int
    width_out: int
    drop_path: float


class StackBlock(nn.Module):
    """A block of the stack: :meth:`mix` at the input width, then a 1×1 conv if the width changes."""

    reduction: nn.Module
    """Set by the stack."""

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to the same shape."""
        raise NotImplementedError

    def idle_macs(self, height: int, width: int) -> int:  # noqa: ARG002 - the default answer needs no look
        """Return the idle multiply-adds of one pass on one sample, as defined by :meth:`Method.idle_macs`."""
        return 0

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        return self.reduction(self.mix(x))  # type: ignore[no-any-return]


class TokenBlock(StackBlock):
    """A block on tokens: the H·W positions in row order."""

    def mix(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; makes no copy if the channels are last in memory."""
        tokens = x.permute(0, 2, 3, 1)
        return self.mix_tokens(tokens.flatten(1, 2)).reshape(tokens.shape).permute(0, 3, 1, 2)

    def mix_tokens(self, x_BNC: Tensor) -> Tensor:
        """Map (B, H·W, C) to the same shape."""
        raise NotImplementedError


class BlockStack(nn.Module):
    """``n_t`` blocks of widths channels → hid_t → … → hid_t → channels.

    Args:
        channels: T_in·hid_S.
        block: builds the block for a place.
        drop_path: rate of stochastic depth of the last block; rates rise linearly from 0.01 at the first.
        channels_last: bring the features into this memory format before the first block.

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
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if n_t < 2:
            raise UserError(f"n_t = {n_t}: the temporal module needs at least 2 blocks (in and out). Use n_t >= 2.")
        self.channels_last = channels_last  # torch.save cannot pickle a torch.memory_format
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
        """Sum :meth:`StackBlock.idle_macs` over the blocks, for features (height, width)."""
        return sum(cast("StackBlock", block).idle_macs(height, width) for block in self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H', W') to the same shape."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return x
