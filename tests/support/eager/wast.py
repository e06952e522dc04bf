"""WaST; stochastic depth, which its published setting starts at epoch 20, is left out. Axes: B, C, T, H, W."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import OnePass


class Wavelets(nn.Module):
    """3-D Haar analysis and synthesis as convolutions of stride 2; bands LLL, LLH, ... HHH."""

    def __init__(self) -> None:
        super().__init__()
        low, high = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
        filters = [torch.einsum("i,j,k->ijk", *axes) for axes in product((low, high), repeat=3)]
        self.register_buffer("filters", torch.stack(filters)[:, None], persistent=False)

    def analyse(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, 8, T/2, H/2, W/2)."""
        cells = F.conv3d(x.reshape(-1, 1, *x.shape[2:]), self.filters.to(x.dtype), stride=2)
        return cells.view(*x.shape[:2], *cells.shape[1:])

    def synthesise(self, bands: Tensor) -> Tensor:
        whole = F.conv_transpose3d(bands.flatten(0, 1), self.filters.to(bands.dtype), stride=2)
        return whole.view(*bands.shape[:2], *whole.shape[2:])


def c3(c_in: int, c_out: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(c_in, c_out, 3, padding=1, groups=groups), nn.BatchNorm3d(c_out), nn.GELU())


def strip(dim: int, height: int, width: int) -> nn.Sequential:
    conv = nn.Conv2d(dim, dim, (height, width), padding=(height // 2, width // 2), groups=dim)
    return nn.Sequential(conv, nn.BatchNorm2d(dim))


class FrequencyAttention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = max(8, dim // 4)
        self.conv1 = nn.Conv2d(dim, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(hidden, dim, 1)
        self.conv_w = nn.Conv2d(hidden, dim, 1)

    def forward(self, u: Tensor) -> Tensor:
        rows = u.mean(3, keepdim=True)
        columns = u.mean(2, keepdim=True).permute(0, 1, 3, 2)
        y = self.act(self.bn1(self.conv1(torch.cat([rows, columns], dim=2))))
        rows, columns = torch.split(y, u.shape[2:], dim=2)
        columns = columns.permute(0, 1, 3, 2)
        return u * torch.sigmoid(self.conv_w(columns)) * torch.sigmoid(self.conv_h(rows))


class SqueezeExcite(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(dim, round(dim / 4), 1)
        self.conv_expand = nn.Conv2d(round(dim / 4), dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv_reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.conv_expand(y))


class InvertedResidual(nn.Module):
    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        wide = max(8, 8 * (int(ratio * dim + 4) // 8))
        wide += 8 if wide < 0.9 * ratio * dim else 0
        self.conv_pw = nn.Conv2d(dim, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv_dw = nn.Conv2d(wide, wide, 7, padding=3, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.se = SqueezeExcite(wide)
        self.conv_pwl = nn.Conv2d(wide, dim, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv_pw(x)))
        x = F.relu(self.bn2(self.conv_dw(x)))
        return self.bn3(self.conv_pwl(self.se(x)))


class Block(nn.Module):
    def __init__(self, dim: int, kernel: int, ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.lk1 = strip(dim, kernel, 5)
        self.lk2 = strip(dim, 5, kernel)
        self.sk = strip(dim, 5, 5)
        self.low_frequency_attn = FrequencyAttention(dim)
        self.high_frequency_attn = FrequencyAttention(dim)
        self.norm2 = nn.BatchNorm2d(dim)
        self.temporal_mixer = InvertedResidual(dim, ratio)
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.layer_scale_1[:, None, None]
        a = self.norm1(x)
        low = self.low_frequency_attn(self.lk1(a) + self.lk2(a))
        x = x + scale * (low + self.high_frequency_attn(self.sk(a)))
        return x + scale * self.temporal_mixer(self.norm2(x))


class Translator(nn.Module):
    """Blocks at one width; the second of the outer ones first joins the skip."""

    def __init__(self, dim: int, count: int, kernel: int, ratio: float, joins: bool = False) -> None:
        super().__init__()
        if joins:
            self.concat_block = nn.Conv2d(2 * dim, dim, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(dim, kernel, ratio) for _ in range(count)))

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B, C, T, H, W), channels and frames stacked for the blocks."""
        y = x.flatten(1, 2)
        if skip is not None:
            y = self.concat_block(torch.cat([y, skip.flatten(1, 2)], dim=1))
        return self.blocks(y).view(x.shape)


class Down(nn.Module):
    """One wavelet level down; six bands go to the synthesis directly."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv_0 = c3(width, width)
        self.conv_1 = c3(width, 2 * width)
        self.conv_emb = nn.Conv3d(4 * channels, 2 * width, 3, padding=1)
        self.haar = Wavelets()

    def forward(self, features: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        bands, own = self.haar.analyse(self.conv_0(features)), self.haar.analyse(clip)
        halves = [own[:, :, first::2].transpose(1, 2).flatten(1, 2) for first in (0, 1)]
        low = self.conv_1(torch.cat([bands[:, :, 0], bands[:, :, 1]], dim=2))
        kept = bands[:, :, 2:].transpose(1, 2).flatten(1, 2)
        return low + self.conv_emb(torch.cat(halves, dim=2)), kept


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_0 = c3(2 * width, width)
        self.conv_hi = c3(6 * width, 6 * width, groups=6)
        self.haar = Wavelets()

    def forward(self, features: Tensor, kept: Tensor) -> Tensor:
        low = self.conv_0(features).chunk(2, dim=2)
        others = self.conv_hi(kept).chunk(6, dim=1)
        return self.haar.synthesise(torch.stack([*low, *others], dim=2))


class WaST(OnePass):
    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        encoder_dim: int,
        blocks: Sequence[int],
        mlp_ratio: float = 4.0,
        hffl_weight: float = 1e-3,
        hffl_alpha: float = 1.0,
        hffl_tau: float = 0.1,
        hffl_levels: int = 1,
    ) -> None:
        super().__init__(t_in, t_out)
        e, stacked = encoder_dim, encoder_dim * t_in
        self.hffl = (hffl_weight, hffl_alpha, hffl_tau, hffl_levels)
        self.conv_in = c3(channels, e)
        self.translator1 = Translator(stacked, blocks[0], 51, mlp_ratio)
        self.wavelet_embed1 = Down(e, channels)
        self.bottleneck_translator = Translator(2 * stacked, blocks[1], 21, mlp_ratio)
        self.wavelet_recon1 = Up(e)
        self.translator2 = Translator(stacked, blocks[2], 51, mlp_ratio, joins=True)
        self.conv_out = nn.Sequential(nn.BatchNorm3d(e), nn.GELU(), nn.Conv3d(e, channels, 3, padding=1))

    def predict_block(self, past: Tensor) -> Tensor:
        clip = past.transpose(1, 2)
        skip = self.translator1(self.conv_in(clip))
        inner, kept = self.wavelet_embed1(skip, clip)
        x = self.wavelet_recon1(self.bottleneck_translator(inner), kept)
        return self.conv_out(self.translator2(x, skip)).transpose(1, 2)

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        pred, true = self(clip[:, : self.t_in]), clip[:, self.t_in :]
        weight, alpha, tau, levels = self.hffl
        return F.mse_loss(pred, true) + weight * focal_loss(pred, true, alpha, tau, levels)


def focal_loss(pred: Tensor, true: Tensor, alpha: float, tau: float, levels: int) -> Tensor:
    """High focal frequency loss of frames (B, T, C, H, W)."""
    total = torch.zeros((), dtype=pred.dtype, device=pred.device)
    p, q = pred.flatten(0, 1), true.flatten(0, 1)
    for _ in range(levels):
        p, q = (2 * F.avg_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2)), 2) for x in (p, q))
        difference = torch.fft.fft2(p, norm="ortho") - torch.fft.fft2(q, norm="ortho")
        power = difference.real**2 + difference.imag**2
        weight = torch.log(1 + power.detach().sqrt() ** alpha)
        weight = weight / weight.amax((-2, -1), keepdim=True)
        weight = torch.where(weight.isnan(), torch.zeros_like(weight), weight).clamp(0, 1)
        height, width = power.shape[-2:]
        rows, columns = (torch.arange(n, dtype=torch.float32, device=pred.device) for n in (height, width))
        far = torch.ones(height, width, dtype=torch.bool, device=pred.device)
        for i, j in product((0, height - 1), (0, width - 1)):
            far &= ((rows[:, None] - i) ** 2 + (columns - j) ** 2).sqrt() > tau * max(height, width)
        total = total + (far * weight * power).mean()
    return total
