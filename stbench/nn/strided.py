"""Strided convolutional codec of SimVP and TAU, shared by other methods in controlled comparisons.

Source: Gao et al., "SimVP: Simpler yet Better Video Prediction", CVPR 2022. Axes: N frames (B·T), C, H, W.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from stbench.errors import UserError
from stbench.nn.chain import convolve_chain, run_chain
from stbench.nn.recompute import in_groups, recompute

GROUPS = 2


def strides(blocks: int) -> list[int]:
    """Return the stride of each encoder block; every second one halves the frame.

    >>> strides(4)
    [1, 2, 1, 2]
    """
    return [2 if i % 2 else 1 for i in range(blocks)]


class ConvBlock(nn.Module):
    """k×k conv → GroupNorm(2) → SiLU; ``stride`` 2 halves the frame, ``upsample`` doubles it by PixelShuffle."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, upsample: bool = False) -> None:
        super().__init__()
        padding = (kernel - stride + 1) // 2
        conv = nn.Conv2d(c_in, 4 * c_out if upsample else c_out, kernel, 1 if upsample else stride, padding)
        nn.init.trunc_normal_(conv.weight, std=0.02)
        nn.init.zeros_(cast("Tensor", conv.bias))
        self.conv = nn.Sequential(conv, nn.PixelShuffle(2)) if upsample else conv
        self.norm = nn.GroupNorm(GROUPS, c_out)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H/stride, W/stride) or the doubled frame."""
        return self.activate(self.convolve(x))

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the conv, and PixelShuffle if the block upsamples."""
        return self.conv(x)  # type: ignore[no-any-return]

    def activate(self, features: Tensor) -> Tensor:
        """Normalise and activate the conv's output; same shape."""
        return self.act(self.norm(features))  # type: ignore[no-any-return]


class StridedEncoder(nn.Module):
    """``n_s`` blocks C→hid_s→…→hid_s; returns the features and, as skip, the first block's output."""

    def __init__(self, channels: int, hid_s: int, n_s: int, kernel: int) -> None:
        super().__init__()
        check_odd(kernel, "kernel_enc")
        if hid_s % GROUPS:
            raise UserError(f"hid_s = {hid_s}: the group normalisation needs a multiple of {GROUPS}.")
        widths = [channels] + [hid_s] * n_s
        self.blocks = nn.ModuleList(
            ConvBlock(widths[i], widths[i + 1], kernel, stride) for i, stride in enumerate(strides(n_s))
        )

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to features (N, hid_s, H', W') and skip (N, hid_s, H, W)."""
        first, *rest = cast("list[ConvBlock]", list(self.blocks))
        skip = recompute(first, x_NCHW)
        return (run_chain(rest, skip) if rest else skip), skip


class StridedDecoder(nn.Module):
    """Mirror of the encoder; the skip is added to the last block's input, and a 1×1 conv outputs the frame."""

    def __init__(self, hid_s: int, channels: int, n_s: int, kernel: int) -> None:
        super().__init__()
        check_odd(kernel, "kernel_dec")
        self.blocks = nn.ModuleList(
            ConvBlock(hid_s, hid_s, kernel, stride, upsample=stride == 2) for stride in reversed(strides(n_s))
        )
        self.readout = nn.Conv2d(hid_s, channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map features (N, hid_s, H', W') and skip (N, hid_s, H, W) to frames (N, C, H, W)."""
        return in_groups(self._decode, x, skip)

    def _decode(self, x: Tensor, skip: Tensor) -> Tensor:
        *front, last = cast("list[ConvBlock]", list(self.blocks))
        if front:
            x = convolve_chain(front, x)
            x = recompute(lambda inner, skip: last.convolve(front[-1].activate(inner) + skip), x, skip)
        else:
            x = last.convolve(x + skip)
        return recompute(lambda inner: cast("Tensor", self.readout(last.activate(inner))), x)


def downsampling(n_s: int) -> int:
    """Return the factor by which ``n_s`` blocks shrink a frame."""
    return 1 << (n_s // 2)


def check_odd(kernel: int, what: str) -> None:
    """Raise :class:`UserError` for an even kernel, which cannot keep a frame's size."""
    if kernel % 2 == 0:
        raise UserError(f"{what} = {kernel}: an even kernel cannot keep the frame's size. Use an odd one.")
