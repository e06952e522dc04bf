"""The MetaFormer blocks of SimVP's translators. Axes: B, C, H, W; tokens (B, N, C) inside the transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import dropped
from .stacked import Block, Place
from .tokens import Attention, Mlp, WindowAttention, attend_in_windows

HEADS = 8


def depthwise(dim: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(dim, dim, kernel, padding=dilation * (kernel // 2), groups=dim, dilation=dilation)


def parameter(value: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.full(shape, value))


class ConvMlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Residual(nn.Module):
    """A block of branches with stochastic depth."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.rate = place.rate
        self.hidden = int(place.ratio * place.dim)

    def drop(self, branch: Tensor) -> Tensor:
        return dropped(branch, self.rate, self.training)


class ViT(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.norm1 = nn.LayerNorm(place.dim)
        self.attn = Attention(place.dim, HEADS)
        self.norm2 = nn.LayerNorm(place.dim)
        self.mlp = Mlp(place.dim, self.hidden)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop(self.attn(self.norm1(tokens)))
        tokens = tokens + self.drop(self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).reshape(x.shape)


class Swin(Residual):
    """Attention in windows; shifted ones wrap around the border without a mask."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        height, shortest = place.size[0], min(place.size)
        window = 7 if height % 7 == 0 else min(max(4, height // 16), 8)
        self.shift = window // 2 if place.index % 2 and shortest > window else 0
        self.window = min(window, shortest)
        self.norm1 = nn.LayerNorm(place.dim)
        self.attn = WindowAttention(place.dim, HEADS, self.window)
        self.norm2 = nn.LayerNorm(place.dim)
        self.mlp = Mlp(place.dim, self.hidden)

    def forward(self, x: Tensor) -> Tensor:
        grid = x.permute(0, 2, 3, 1)
        grid = grid + self.drop(attend_in_windows(self.norm1(grid), self.attn, self.window, self.shift))
        grid = grid + self.drop(self.mlp(self.norm2(grid)))
        return grid.permute(0, 3, 1, 2).contiguous()


class UniFormerConv(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        dim = place.dim
        self.pos_embed = depthwise(dim, 3)
        self.norm1 = nn.BatchNorm2d(dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.attn = depthwise(dim, 5)
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp(dim, self.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.drop(self.conv2(self.attn(self.conv1(self.norm1(x)))))
        return x + self.drop(self.mlp(self.norm2(x)))


class UniFormerAttention(ViT):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.pos_embed = depthwise(place.dim, 3)
        self.gamma_1 = parameter(1e-6, place.dim)
        self.gamma_2 = parameter(1e-6, place.dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop(self.gamma_1 * self.attn(self.norm1(tokens)))
        tokens = tokens + self.drop(self.gamma_2 * self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).reshape(x.shape)


def uniformer(place: Place) -> nn.Module:
    return (UniFormerAttention if place.index and place.keeps_width else UniFormerConv)(place)


class MLPMixer(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.norm1 = nn.LayerNorm(place.dim, eps=1e-6)
        self.mlp_tokens = Mlp(place.size[0] * place.size[1], place.dim // 2)
        self.norm2 = nn.LayerNorm(place.dim, eps=1e-6)
        self.mlp_channels = Mlp(place.dim, self.hidden)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.drop(self.mlp_tokens(self.norm1(tokens).transpose(1, 2)).transpose(1, 2))
        tokens = tokens + self.drop(self.mlp_channels(self.norm2(tokens)))
        return tokens.transpose(1, 2).reshape(x.shape)


class ConvMixer(nn.Module):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.conv_dw = depthwise(place.dim, 11)
        self.norm_1 = nn.BatchNorm2d(place.dim)
        self.conv_pw = nn.Conv2d(place.dim, place.dim, 1)
        self.norm_2 = nn.BatchNorm2d(place.dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norm_1(self.act(self.conv_dw(x)))
        return self.norm_2(self.act(self.conv_pw(x)))


class PoolFormer(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.norm1 = nn.GroupNorm(1, place.dim)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.norm2 = nn.GroupNorm(1, place.dim)
        self.mlp = ConvMlp(place.dim, self.hidden)
        self.layer_scale_1 = parameter(1e-5, place.dim)
        self.layer_scale_2 = parameter(1e-5, place.dim)

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm1(x)
        x = x + self.drop(self.layer_scale_1[:, None, None] * (self.pool(u) - u))
        return x + self.drop(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXt(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.conv_dw = depthwise(place.dim, 7)
        self.norm = ChannelNorm(place.dim, eps=1e-6)
        self.mlp = ConvMlp(place.dim, self.hidden)
        self.gamma = parameter(1e-6, place.dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.gamma[:, None, None] * self.mlp(self.norm(self.conv_dw(x))))


class LargeKernelGate(nn.Module):
    """VAN's attention: the input times a decomposed large convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv0 = depthwise(dim, 5)
        self.conv_spatial = depthwise(dim, 7, dilation=3)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv_spatial(self.conv0(x)))


def van(place: Place) -> nn.Module:
    return Block(place, LargeKernelGate)


class RecursiveGate(nn.Module):
    """Gated convolution of order 4 over widths d/8, d/4, d/2, d."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widths = [dim // 8, dim // 4, dim // 2, dim]
        self.proj_in = nn.Conv2d(dim, 2 * dim, 1)
        self.dwconv = depthwise(sum(self.widths), 7)
        self.pws = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(self.widths, self.widths[1:], strict=False))
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        p, a = torch.split(self.proj_in(x), (self.widths[0], sum(self.widths)), dim=1)
        first, *others = torch.split(self.dwconv(a), self.widths, dim=1)
        p = p * first
        for conv, gate in zip(self.pws, others, strict=True):
            p = conv(p) * gate
        return self.proj_out(p)


class HorNet(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.norm1 = ChannelNorm(place.dim, eps=1e-6)
        self.gnconv = RecursiveGate(place.dim)
        self.norm2 = nn.LayerNorm(place.dim, eps=1e-6)
        self.pwconv1 = nn.Linear(place.dim, self.hidden)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(self.hidden, place.dim)
        self.gamma1 = parameter(1e-6, place.dim)
        self.gamma2 = parameter(1e-6, place.dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.gamma1[:, None, None] * self.gnconv(self.norm1(x)))
        y = self.gamma2 * self.pwconv2(self.act(self.pwconv1(self.norm2(x.permute(0, 2, 3, 1)))))
        return x + self.drop(y.permute(0, 3, 1, 2))


class MultiOrder(nn.Module):
    """MogaNet's value: depth-wise convolutions of three reaches."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widths = [dim // 8, 3 * dim // 8, dim // 2]
        self.DW_conv0 = depthwise(dim, 5)
        self.DW_conv1 = depthwise(self.widths[1], 5, dilation=2)
        self.DW_conv2 = depthwise(self.widths[2], 7, dilation=3)
        self.PW_conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        near, middle, far = torch.split(self.DW_conv0(x), self.widths, dim=1)
        return self.PW_conv(torch.cat([near, self.DW_conv1(middle), self.DW_conv2(far)], dim=1))


class MogaAttention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(dim, dim, 1)
        self.gate = nn.Conv2d(dim, dim, 1)
        self.value = MultiOrder(dim)
        self.proj_2 = nn.Conv2d(dim, dim, 1)
        self.sigma = parameter(1e-5, 1, dim, 1, 1)
        self.act = nn.SiLU()

    def forward(self, u: Tensor) -> Tensor:
        v = self.proj_1(u)
        v = self.act(v + self.sigma * (v - F.adaptive_avg_pool2d(v, 1)))
        return u + self.proj_2(self.act(self.gate(v)) * self.act(self.value(v)))


class MogaMlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.dwconv = depthwise(hidden, 3)
        self.act = nn.GELU()
        self.decompose = nn.Conv2d(hidden, 1, 1)
        self.sigma = parameter(1e-5, 1, hidden, 1, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.dwconv(self.fc1(x)))
        return self.fc2(y + self.sigma * (y - self.act(self.decompose(y))))


class MogaNet(Residual):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.norm1 = nn.BatchNorm2d(place.dim)
        self.attn = MogaAttention(place.dim)
        self.norm2 = nn.BatchNorm2d(place.dim)
        self.mlp = MogaMlp(place.dim, self.hidden)
        self.layer_scale_1 = parameter(1e-5, 1, place.dim, 1, 1)
        self.layer_scale_2 = parameter(1e-5, 1, place.dim, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.layer_scale_1 * self.attn(self.norm1(x)))
        return x + self.drop(self.layer_scale_2 * self.mlp(self.norm2(x)))


BLOCKS = {
    "vit": ViT,
    "swin": Swin,
    "uniformer": uniformer,
    "mlp": MLPMixer,
    "convmixer": ConvMixer,
    "poolformer": PoolFormer,
    "convnext": ConvNeXt,
    "van": van,
    "hornet": HorNet,
    "moga": MogaNet,
}
"""Translator -> its block."""
