"""MMVP, trained on past frames. Axes: B, T, C, H, W; N frames or images; P positions of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import OnePass

KEPT = 3
Grid = tuple[int, int]


def parts(**modules: nn.Module) -> nn.Module:
    whole = nn.Module()
    for name, module in modules.items():
        whole.add_module(name, module)
    return whole


def conv(c_in: int, c_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=bias)


class RDB(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        growth = n // 2
        self.conv1 = conv(n, growth)
        self.conv2 = conv(n + growth, growth)
        self.conv3 = conv(n + 2 * growth, growth)
        self.conv4 = conv(n + 3 * growth, n)

    def forward(self, x: Tensor) -> Tensor:
        x1 = F.leaky_relu(self.conv1(x), 0.2)
        x2 = F.leaky_relu(self.conv2(torch.cat((x, x1), 1)), 0.2)
        x3 = F.leaky_relu(self.conv3(torch.cat((x, x1, x2), 1)), 0.2)
        return x + 0.2 * self.conv4(torch.cat((x, x1, x2, x3), 1))


class RRDB(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = RDB(n), RDB(n), RDB(n)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.RDB3(self.RDB2(self.RDB1(x)))


class Down(nn.Module):
    def __init__(self, c_in: int, ratio: int) -> None:
        super().__init__()
        self.conv1 = conv(c_in, 2 * c_in, 2)
        self.conv2 = conv(2 * c_in, 2 * c_in)
        self.shortcut = nn.Conv2d(c_in, 2 * c_in, 1, 2)
        self.pools = ratio == 4

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv2(F.relu(self.conv1(x)))) + self.shortcut(x)
        return F.leaky_relu(F.max_pool2d(y, 2) if self.pools else y, 0.01)


class Up(nn.Module):
    def __init__(self, c_out: int, ratio: int, joins: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * c_out, c_out, ratio, ratio)
        joined = nn.Sequential(conv(2 * c_out if joins else c_out, c_out, bias=False), nn.ReLU())
        self.conv = parts(conv=joined)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = self.up(x)
        return self.conv.conv(x if skip is None else torch.cat((skip, x), 1))


class ConvNorm3d(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(n, n, 3, padding=1)
        self.bn3d = nn.BatchNorm3d(n)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W)."""
        return F.leaky_relu(self.bn3d(self.conv3d(x.transpose(1, 2))), 0.01).transpose(1, 2)


class Predictor(nn.Module):
    """Future motion matrices, row by row, as images of the target grid."""

    def __init__(self, q: int, past: int, t_out: int) -> None:
        super().__init__()
        self.t_out = t_out
        for name, layer in {"conv_pre_1": conv(q, q), "conv_pre_2": conv(q, q), "conv1_1": conv(q, q, 2)}.items():
            self.add_module(name, layer)
            self.add_module(name.replace("conv", "bn"), nn.BatchNorm2d(q))
        self.conv3d_1 = ConvNorm3d(q)
        self.conv_translate = nn.Sequential(nn.Conv2d(q * past, q * t_out, 1), nn.LeakyReLU(0.01))
        self.bn_translate = nn.BatchNorm2d(q * t_out)
        self.conv2_1, self.bn2_1 = conv(q, 2 * q, 2), nn.BatchNorm2d(2 * q)
        self.temporal_layer = ConvNorm3d(2 * q) if t_out > 1 else nn.Sequential(conv(2 * q, 2 * q), nn.LeakyReLU(0.01))
        self.conv3_1, self.bn3_1 = conv(3 * q, q), nn.BatchNorm2d(q)
        self.conv4_1, self.bn4_1 = conv(q, q), nn.BatchNorm2d(q)

    def normed(self, name: str, x: Tensor) -> Tensor:
        layer, norm = getattr(self, name), getattr(self, name.replace("conv", "bn"))
        return F.leaky_relu(norm(layer(x)), 0.01)

    def forward(self, images: Tensor) -> Tensor:
        """(N, T_in-1, q, H, W) -> (N * T_out, q, H, W)."""
        count, past, _, height, width = images.shape
        a = self.normed("conv_pre_2", self.normed("conv_pre_1", images.flatten(0, 1)))
        b = self.normed("conv1_1", a)
        b = self.conv3d_1(b.view(count, past, *b.shape[1:]))
        b = self.bn_translate(self.conv_translate(b.flatten(1, 2)))
        b = b.view(count * self.t_out, -1, *b.shape[2:])
        v = self.normed("conv2_1", b)
        if self.t_out > 1:
            v = self.temporal_layer(v.view(count, self.t_out, *v.shape[1:])).flatten(0, 1)
        else:
            v = self.temporal_layer(v)
        f = self.normed("conv3_1", torch.cat([F.interpolate(v, size=b.shape[2:]), b], dim=1))
        return self.normed("conv4_1", F.interpolate(f, size=(height, width)))


def compose(features: Tensor, past: Tensor, future: Tensor) -> Tensor:
    """Features (B, T_in, C, P), matrices (B, T_in-1, P, P) and (B, T_out, P, P) -> (B, T_out, C, P)."""
    frames = []
    for tau in range(future.shape[1]):
        product, total, mass = future[:, tau], 0.0, 0.0
        for t in reversed(range(features.shape[1])):
            total = total + features[:, t] @ product
            mass = mass + product.sum(1)
            product = past[:, t - 1] @ product if t else product
        frames.append(total / (mass[:, None] + 1e-6))
    return torch.stack(frames, 1)


def whole_softmax(matrices: Tensor) -> Tensor:
    return torch.softmax(matrices.flatten(2), dim=-1).view(matrices.shape)


def motion(features: Tensor) -> Tensor:
    """Filtered features (B, T, C, H, W) -> cosines between consecutive frames (B, T-1, P, P)."""
    g = features.flatten(3)
    g = g / (g.norm(dim=2, keepdim=True) + 1e-6)
    return g[:, :-1].transpose(2, 3) @ g[:, 1:]


def resized(matrices: Tensor, old: Grid, new: Grid) -> Tensor:
    """Target positions bilinearly, then source positions bicubically."""
    batch, count, source, _ = matrices.shape
    x = F.interpolate(matrices.reshape(-1, 1, *old), size=new, mode="bilinear", align_corners=False)
    x = x.view(batch * count, source, -1).transpose(1, 2).reshape(-1, 1, *old)
    x = F.interpolate(x, size=new, mode="bicubic", align_corners=False)
    return x.view(batch, count, prod(new), prod(new)).transpose(2, 3)


class MMVP(OnePass):
    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        hid_s: int,
        hid_t: int,
        ratios: Sequence[int],
        encoder_blocks: int,
        decoder_blocks: int,
        enhancer_blocks: int,
    ) -> None:
        super().__init__(t_in, t_out)
        s, scales = hid_s, len(ratios)
        self.ratios = tuple(ratios)
        downs = [Down(s << k, ratio) for k, ratio in enumerate(ratios)]
        ups = [Up(s << k, ratio, k >= scales + 1 - KEPT) for k, ratio in enumerate(ratios)]
        self.enc = parts(
            inconv=conv(4 * channels, s),
            block_rrdb=nn.Sequential(*(RRDB(s) for _ in range(encoder_blocks))),
            pre_downsample_block=nn.ModuleList(downs[:-2]),
            downsample_high=downs[-2],
            downsample_low=downs[-1],
        )
        filters = []
        for c_in, c_out in ((s << scales - 1, s), (s << scales, 2 * s)):
            layers: list[nn.Module] = []
            for a, b in pairwise([c_in, c_out, c_out, c_out]):
                layers += [conv(a, b), nn.BatchNorm2d(b), nn.LeakyReLU(0.01)]
            filters.append(nn.Sequential(*layers))
        self.filter = parts(filter_block=nn.ModuleList(filters))
        predictor = parts(
            conv1=conv(1, hid_t, bias=False),
            predictor=Predictor(hid_t, t_in - 1, t_out),
            out_conv=conv(hid_t, 1, bias=False),
        )
        self.hid = parts(predictor=predictor)
        self.dec = parts(
            upsample_block_low2high=ups[-1],
            upsample_block=nn.ModuleList(reversed(ups[:-1])),
            rrdb_block=nn.Sequential(*(RRDB(s) for _ in range(decoder_blocks))),
            outc=nn.Conv2d(s, 4 * channels, 1),
        )
        self.enhance = parts(
            model=nn.Sequential(conv(2 * channels, s), *(RRDB(s) for _ in range(enhancer_blocks))),
            outconv=nn.Conv2d(s, channels, 1),
        )

    def encoded(self, frames: Tensor) -> list[Tensor]:
        """F_0 ... F_S of frames (N, C, H, W)."""
        features = [self.enc.block_rrdb(self.enc.inconv(F.pixel_unshuffle(frames, 2)))]
        for down in (*self.enc.pre_downsample_block, self.enc.downsample_high, self.enc.downsample_low):
            features.append(down(features[-1]))
        return features

    def future(self, past: Tensor, grid: Grid) -> Tensor:
        """Matrices (B, T_in-1, P, P) -> (B, T_out, P, P), before the softmax."""
        batch, steps, positions, _ = past.shape
        images = past.transpose(1, 2).reshape(-1, 1, *grid)
        part = self.hid.predictor
        e = part.conv1(images)
        out = part.out_conv(part.predictor(e.view(batch * positions, steps, *e.shape[1:])))
        return out.view(batch, positions, self.t_out, -1).transpose(1, 2)

    def forward(self, past: Tensor) -> Tensor:
        batch, t_in = past.shape[:2]
        features = self.encoded(past.flatten(0, 1))
        grids = [tuple(level.shape[2:]) for level in features[-2:]]
        moved = [
            motion(block(level).view(batch, t_in, -1, *level.shape[2:]))
            for block, level in zip(self.filter.filter_block, features[-2:], strict=True)
        ]
        future = self.future(moved[0], grids[0])
        low = (whole_softmax(moved[1]), whole_softmax(resized(future, *grids)))
        high = (whole_softmax(moved[0]), whole_softmax(future))

        def moved_on(grid: Grid, x: Tensor, matrices: tuple[Tensor, Tensor]) -> Tensor:
            factor = x.shape[2] // grid[0]
            folded = F.pixel_unshuffle(x, factor).view(batch, t_in, -1, prod(grid))
            return F.pixel_shuffle(compose(folded, *matrices).reshape(batch * self.t_out, -1, *grid), factor)

        kept = [moved_on(grids[0], level, high) for level in features[-KEPT:-1]]
        x = moved_on(grids[1], features[-1], low)
        for up in (self.dec.upsample_block_low2high, *self.dec.upsample_block):
            x = up(x, kept.pop() if kept else None)
        decoded = F.pixel_shuffle(self.dec.outc(self.dec.rrdb_block(x)), 2)
        pixels = F.pixel_shuffle(moved_on(grids[0], F.pixel_unshuffle(past.flatten(0, 1), 2), high), 2)
        out = self.enhance.outconv(self.enhance.model(torch.cat([decoded, pixels], dim=1)))
        return out.view(batch, self.t_out, *out.shape[1:])
