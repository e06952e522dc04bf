"""TAU and SimVP with gated spatiotemporal attention. Axes: B, T, C, H, W; frames of a clip are stacked as channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import OnePass, dropped


@dataclass(frozen=True)
class Place:
    """Where a block stands: its width, number in the stack, rate of stochastic depth and the features' size."""

    dim: int
    ratio: float
    rate: float
    index: int
    keeps_width: bool
    size: tuple[int, int]


class ConvSC(nn.Module):
    """Convolution, GroupNorm(2), SiLU; up-sampling by PixelShuffle."""

    def __init__(self, c_in: int, c_out: int, kernel: int, down: bool = False, up: bool = False) -> None:
        super().__init__()
        stride = 2 if down else 1
        conv = nn.Conv2d(c_in, 4 * c_out if up else c_out, kernel, stride, (kernel - stride + 1) // 2)
        self.conv = nn.Sequential(conv, nn.PixelShuffle(2)) if up else conv
        self.norm = nn.GroupNorm(2, c_out)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class Unit(nn.Module):
    """A level of the encoder or decoder; published checkpoints call its only part ``conv``."""

    def __init__(self, *arguments: int, **options: bool) -> None:
        super().__init__()
        self.conv = ConvSC(*arguments, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class TauGate(nn.Module):
    """Statical attention (decomposed 21x21 convolution) times dynamical attention (squeeze and excite)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        reduced = dim // max(dim // 16, 4)
        self.conv0 = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.conv_spatial = nn.Conv2d(dim, dim, 7, padding=9, groups=dim, dilation=3)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.fc = nn.Sequential(
            nn.Linear(dim, reduced, bias=False), nn.ReLU(True), nn.Linear(reduced, dim, bias=False), nn.Sigmoid()
        )

    def forward(self, v: Tensor) -> Tensor:
        attention = self.conv1(self.conv_spatial(self.conv0(v)))
        weights = self.fc(F.adaptive_avg_pool2d(v, 1).flatten(1))
        return weights[:, :, None, None] * attention * v


class SpatialGate(nn.Module):
    """SimVP-gSTA's gate: half of a decomposed convolution's channels gate the other half."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.conv_spatial = nn.Conv2d(dim, dim, 7, padding=9, groups=dim, dilation=3)
        self.conv1 = nn.Conv2d(dim, 2 * dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        features, gate = torch.split(self.conv1(self.conv_spatial(self.conv0(x))), x.shape[1], dim=1)
        return torch.sigmoid(gate) * features


class Attention(nn.Module):
    def __init__(self, dim: int, gate: type[nn.Module]) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(dim, dim, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = gate(dim)
        self.proj_2 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x)))) + x


class DWConv(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.dwconv(x)


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.dwconv = DWConv(hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class Block(nn.Module):
    """Attention and feed-forward branch with layer scale and stochastic depth."""

    def __init__(self, place: Place, gate: type[nn.Module]) -> None:
        super().__init__()
        dim = place.dim
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = Attention(dim, gate)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = Mlp(dim, int(dim * place.ratio))
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((dim,), 1e-2))
        self.rate = place.rate

    def forward(self, x: Tensor) -> Tensor:
        x = x + dropped(self.layer_scale_1[:, None, None] * self.attn(self.norm1(x)), self.rate, self.training)
        return x + dropped(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)), self.rate, self.training)


class Reduced(nn.Module):
    """A block and the 1x1 convolution to the next one's width."""

    def __init__(self, block: nn.Module, c_in: int, c_out: int) -> None:
        super().__init__()
        self.block = block
        if c_in != c_out:
            self.reduction = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return self.reduction(x) if hasattr(self, "reduction") else x


class Levels(nn.Module):
    """A list of modules under the name that published checkpoints give it."""

    def __init__(self, name: str, modules: list[nn.Module]) -> None:
        super().__init__()
        setattr(self, name, nn.ModuleList(modules))


class Stacked(OnePass):
    """Strided encoder, blocks over the stacked frames, strided decoder with one skip."""

    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        block: Callable[[Place], nn.Module],
        size: tuple[int, int],
        hid_s: int,
        hid_t: int,
        n_s: int,
        n_t: int,
        mlp_ratio: float = 8.0,
        drop_path: float = 0.0,
        kernel_enc: int = 3,
        kernel_dec: int = 3,
    ) -> None:
        super().__init__(t_in, t_out)
        halves = [bool(level % 2) for level in range(n_s)]
        ins = [channels] + [hid_s] * (n_s - 1)
        self.enc = Levels("enc", [Unit(c, hid_s, kernel_enc, down=half) for c, half in zip(ins, halves, strict=True)])
        self.dec = Levels("dec", [Unit(hid_s, hid_s, kernel_dec, up=half) for half in reversed(halves)])
        self.dec.readout = nn.Conv2d(hid_s, channels, 1)
        widths = [t_in * hid_s] + [hid_t] * (n_t - 1) + [t_in * hid_s]
        rates = torch.linspace(1e-2, drop_path, n_t).tolist() if drop_path else [0.0] * n_t
        small = (size[0] >> sum(halves), size[1] >> sum(halves))
        blocks = []
        for i, (a, b) in enumerate(pairwise(widths)):
            place = Place(a, mlp_ratio, rates[i], i, a == b, small)
            blocks.append(Reduced(block(place), a, b))
        self.hid = Levels("enc", blocks)

    def predict_block(self, past: Tensor) -> Tensor:
        batch, t_in, channels, height, width = past.shape
        x = past.reshape(batch * t_in, channels, height, width)
        skip = x = self.enc.enc[0](x)
        for level in self.enc.enc[1:]:
            x = level(x)
        hidden = x.reshape(batch, -1, *x.shape[2:])
        for block in self.hid.enc:
            hidden = block(hidden)
        x = hidden.reshape(x.shape)
        for level in self.dec.dec[:-1]:
            x = level(x)
        return self.dec.readout(self.dec.dec[-1](x + skip)).reshape(past.shape)


class SimVP(Stacked):
    def __init__(self, *lengths: int, **sizes: Any) -> None:
        super().__init__(*lengths, block=partial(Block, gate=SpatialGate), **sizes)


class TAU(Stacked):
    """Adds the differential divergence between predicted and true changes to the loss."""

    def __init__(self, *lengths: int, ddr_weight: float = 0.1, ddr_temperature: float = 0.1, **sizes: Any) -> None:
        super().__init__(*lengths, block=partial(Block, gate=TauGate), **sizes)
        self.ddr_weight = ddr_weight
        self.ddr_temperature = ddr_temperature

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        pred, true = self(clip[:, : self.t_in]), clip[:, self.t_in :]
        mse = F.mse_loss(pred, true)
        if self.t_out <= 2:
            return mse
        p, q = (F.softmax((x[:, 1:] - x[:, :-1]).flatten(2) / self.ddr_temperature, -1) for x in (pred, true))
        return mse + self.ddr_weight * (p * torch.log(p / (q + 1e-12) + 1e-12)).mean()
