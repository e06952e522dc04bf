"""Convolutional blocks of MMVP's encoder, decoder and enhancer. Axes: N frames (B·T), C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DENSE_SLOPE = 0.2
DENSE_SCALE = 0.2
SLOPE = 0.01


class DenseBlock(nn.Module):
    """RDB: three densely connected convs of growth n//2 and one back to n; out = x + 0.2·result."""

    def __init__(self, width: int) -> None:
        super().__init__()
        growth = width // 2
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        features = x
        for conv in (self.conv1, self.conv2, self.conv3):
            features = torch.cat([features, F.leaky_relu(conv(features), DENSE_SLOPE)], dim=1)
        return x + DENSE_SCALE * self.conv4(features)  # type: ignore[no-any-return]


class ResidualDense(nn.Module):
    """RRDB: x + 0.2·(three dense blocks in a row) (Wang et al., "ESRGAN", 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = DenseBlock(width), DenseBlock(width), DenseBlock(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x + DENSE_SCALE * self.RDB3(self.RDB2(self.RDB1(x)))  # type: ignore[no-any-return]


class Down(nn.Module):
    """Two convs beside a 1×1 shortcut, stride 2; a ratio of 4 is completed by max pooling."""

    def __init__(self, c_in: int, c_out: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H/ratio, W/ratio)."""
        y = F.relu(self.conv2(F.relu(self.conv1(x)))) + self.shortcut(x)
        return F.leaky_relu(F.max_pool2d(y, 2) if self.ratio == 4 else y, SLOPE)


class Up(nn.Module):
    """Transposed conv by ``ratio``; its output and the predicted features of that size pass a 3×3 conv."""

    def __init__(self, c_in: int, c_out: int, ratio: int, skip: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(c_in, c_out, ratio, stride=ratio)
        self.conv = nn.Conv2d((2 if skip else 1) * c_out, c_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map (N, C_in, H, W) and a skip (N, C_out, ratio·H, ratio·W) or None to the skip's shape."""
        x = self.up(x)
        return F.relu(self.conv(x if skip is None else torch.cat([skip, x], dim=1)))


def motion_filter(c_in: int, c_out: int) -> nn.Sequential:
    """Build three blocks of conv → BatchNorm → LeakyReLU, whose outputs the motion matrices compare."""
    layers: list[nn.Module] = []
    for width in (c_in, c_out, c_out):
        layers += [nn.Conv2d(width, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)
