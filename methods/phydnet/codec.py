"""PhyDNet's own convolutional encoder and decoder (Le Guen & Thome, CVPR 2020, §4). Axes: B, C, H, W."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from stbench.nn import check_divisible, convolve_chain, recompute, run_chain
from stbench.schema import ClipShape

GROUPS = 16
SLOPE = 0.2


class ActivatedConv(nn.Module):
    """A conv → GroupNorm(16) → LeakyReLU(0.2) for use in ``run_chain``, which calls the two parts."""

    def __init__(self, conv: nn.Module, c_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(conv, nn.GroupNorm(GROUPS, c_out), nn.LeakyReLU(SLOPE, inplace=True))

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the conv: (B, C_in, H, W) -> (B, C_out, H', W')."""
        return self.main[0](x)  # type: ignore[no-any-return]

    def activate(self, features: Tensor) -> Tensor:
        """Apply norm and activation; same shape."""
        return self.main[2](self.main[1](features))  # type: ignore[no-any-return]


class DownBlock(ActivatedConv):
    """3×3 conv; shrinks a frame by ``stride``."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, stride, padding=1), c_out)


class UpBlock(ActivatedConv):
    """Transposed 3×3 conv; enlarges a frame by ``stride``."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(nn.ConvTranspose2d(c_in, c_out, 3, stride, padding=1, output_padding=stride - 1), c_out)


class PhyCodec(nn.Module):
    """Encoder C→w/2→w/2→w and its mirror (w = 64 in the paper); shrinks a frame by ``patch``, 2 or 4."""

    def __init__(self, shape: ClipShape, patch: int, width: int) -> None:
        super().__init__()
        check_divisible(shape.height, shape.width, patch, "patch")
        stride = patch // 2
        self.channels = width
        self.height, self.width = shape.height // patch, shape.width // patch
        self.c1 = DownBlock(shape.channels, width // 2, 2)
        self.c2 = DownBlock(width // 2, width // 2)
        self.c3 = DownBlock(width // 2, width, stride)
        self.upc1 = UpBlock(width, width // 2, 2)
        self.upc2 = UpBlock(width // 2, width // 2)
        self.upc3 = nn.ConvTranspose2d(width // 2, shape.channels, 3, stride, padding=1, output_padding=stride - 1)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (B, C, H, W) to (B, w, H/p, W/p), no skip."""
        return run_chain([self.c1, self.c2, self.c3], frame), None

    def decode(self, features: Tensor, skip: Tensor | None) -> Tensor:  # noqa: ARG002 - one interface
        """Map (B, w, H/p, W/p) to (B, C, H, W), before the output activation."""
        x = convolve_chain([self.upc1, self.upc2], features)
        return recompute(lambda inner: cast("Tensor", self.upc3(self.upc2.activate(inner))), x)
