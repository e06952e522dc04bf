"""PhyDNet. Axes: B, C, H, W."""

from __future__ import annotations

from itertools import pairwise
from math import factorial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import RolledOut


def block(conv: nn.Module, width: int) -> nn.Module:
    unit = nn.Module()
    unit.main = nn.Sequential(conv, nn.GroupNorm(16, width), nn.LeakyReLU(0.2, inplace=True))
    return unit


def down(c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    return block(nn.Conv2d(c_in, c_out, 3, stride, 1), c_out)


def up(c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    return block(nn.ConvTranspose2d(c_in, c_out, 3, stride, 1, output_padding=stride - 1), c_out)


def parts(**modules: nn.Module) -> nn.Module:
    whole = nn.Module()
    for name, module in modules.items():
        whole.add_module(name, module)
    return whole


class PhyDNet(RolledOut):
    """A physical branch (PhyCell) and a residual one (ConvLSTM) between a convolutional encoder and its mirror."""

    def __init__(
        self,
        t_in: int,
        t_out: int,
        channels: int,
        *,
        patch: int,
        hid_s: int = 64,
        moment_weight: float = 1.0,
        output_activation: str = "sigmoid",
    ) -> None:
        super().__init__(t_in, t_out)
        n, stride = hid_s, patch // 2
        self.patch = patch
        self.width = n
        self.moment_weight = moment_weight
        self.output_activation = output_activation
        last = nn.ConvTranspose2d(n // 2, channels, 3, stride, 1, output_padding=stride - 1)
        self.encoder = parts(
            encoder_E=parts(c1=down(channels, n // 2, 2), c2=down(n // 2, n // 2), c3=down(n // 2, n, stride)),
            encoder_Ep=parts(c1=down(n, n), c2=down(n, n)),
            encoder_Er=parts(c1=down(n, n), c2=down(n, n)),
            decoder_Dp=parts(upc1=up(n, n), upc2=up(n, n)),
            decoder_Dr=parts(upc1=up(n, n), upc2=up(n, n)),
            decoder_D=parts(upc1=up(n, n // 2, 2), upc2=up(n // 2, n // 2), upc3=last),
        )
        derivatives = parts(conv1=nn.Conv2d(n, 49, 7, padding=3), bn1=nn.GroupNorm(7, 49), conv2=nn.Conv2d(49, n, 1))
        cell = parts(F=derivatives, convgate=nn.Conv2d(2 * n, n, 3, padding=1))
        self.phycell = parts(cell_list=nn.ModuleList([cell]))
        widths = [n, 2 * n, 2 * n, n]
        layers = [parts(conv=nn.Conv2d(a + b, 4 * b, 3, padding=1)) for a, b in pairwise(widths)]
        self.convcell = parts(cell_list=nn.ModuleList(layers))
        offsets = torch.arange(7, dtype=torch.float64) - 3
        basis = torch.stack([offsets**i / factorial(i) for i in range(7)])
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("constraints", torch.eye(49).reshape(49, 7, 7), persistent=False)

    def start(self, clip: Tensor) -> Any:
        height, width = clip.shape[-2] // self.patch, clip.shape[-1] // self.patch

        def zeros(n: int) -> Tensor:
            return torch.zeros(len(clip), n, height, width, device=clip.device, dtype=clip.dtype)

        widths = [layer.conv.out_channels // 4 for layer in self.convcell.cell_list]
        return zeros(self.width), [(zeros(n), zeros(n)) for n in widths]

    def step(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, layers = state
        net, cell = self.encoder, self.phycell.cell_list[0]
        x = frame
        for unit in (net.encoder_E.c1, net.encoder_E.c2, net.encoder_E.c3):
            x = unit.main(x)
        u = net.encoder_Ep.c2.main(net.encoder_Ep.c1.main(x))
        guess = h + cell.F.conv2(cell.F.bn1(cell.F.conv1(h)))
        gain = torch.sigmoid(cell.convgate(torch.cat([u, h], 1)))
        h = guess + gain * (u - guess)
        y, new = net.encoder_Er.c2.main(net.encoder_Er.c1.main(x)), []
        for layer, (old, c) in zip(self.convcell.cell_list, layers, strict=True):
            i, f, o, g = torch.split(layer.conv(torch.cat([y, old], 1)), c.shape[1], dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            y = torch.sigmoid(o) * torch.tanh(c)
            new.append((y, c))
        z = net.decoder_Dp.upc2.main(net.decoder_Dp.upc1.main(h))
        z = z + net.decoder_Dr.upc2.main(net.decoder_Dr.upc1.main(y))
        z = net.decoder_D.upc3(net.decoder_D.upc2.main(net.decoder_D.upc1.main(z)))
        return (torch.sigmoid(z) if self.output_activation == "sigmoid" else z), (h, new)

    def loss(self, clip: Tensor, feed: Tensor) -> Tensor:
        emissions, _ = self.emissions(clip, feed)
        total = sum(F.mse_loss(emissions[:, t], clip[:, t + 1]) for t in range(emissions.shape[1]))
        for channel in range(self.width):
            kernels = self.phycell.cell_list[0].F.conv1.weight[:, channel].double()
            moments = (self.basis @ kernels @ self.basis.T).to(clip.dtype)
            total = total + self.moment_weight * F.mse_loss(moments, self.constraints.to(clip.dtype))
        return total
