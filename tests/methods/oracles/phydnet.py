"""PhyDNet: all emissions, and the moment loss kernel by kernel."""

from __future__ import annotations

from math import factorial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.mau import leaky
from tests.methods.oracles.recurrent import sig
from tests.methods.oracles.stacked import group_norm
from tests.methods.oracles.tools import Weights, gates, layers, rollout


def down(weights: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    x = F.conv2d(x, weights[f"{key}.main.0.weight"], weights[f"{key}.main.0.bias"], stride, padding=1)
    return leaky(group_norm(weights, f"{key}.main.1", x, 16))


def transposed(weights: Weights, key: str, x: Tensor, stride: int) -> Tensor:
    """A transposed 3×3 convolution as what it is: a convolution of the input with zeros between its pixels."""
    batch, channels, h, w = x.shape
    spread = x.new_zeros(batch, channels, (h - 1) * stride + 1, (w - 1) * stride + 1)
    spread[:, :, ::stride, ::stride] = x
    end = 1 + (stride - 1)
    kernel = weights[f"{key}.weight"].transpose(0, 1).flip(2, 3)
    return F.conv2d(F.pad(spread, (1, end, 1, end)), kernel, weights[f"{key}.bias"])


def up(weights: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    return leaky(group_norm(weights, f"{key}.main.1", transposed(weights, f"{key}.main.0", x, stride), 16))


def phycell(weights: Weights, u: Tensor, h: Tensor) -> Tensor:
    key = "phycell.cell_list.0"
    x = F.conv2d(h, weights[f"{key}.F.conv1.weight"], weights[f"{key}.F.conv1.bias"], padding=3)
    x = group_norm(weights, f"{key}.F.bn1", x, 7)
    guess = h + F.conv2d(x, weights[f"{key}.F.conv2.weight"], weights[f"{key}.F.conv2.bias"])
    both = torch.cat([u, h], 1)
    gain = sig(F.conv2d(both, weights[f"{key}.convgate.weight"], weights[f"{key}.convgate.bias"], padding=1))
    return guess + gain * (u - guess)


def phydnet(weights: Weights, clip: Tensor, feed: Tensor, patch: int, sigmoid: bool) -> Tensor:
    branch_weights = {key.removeprefix("convcell."): w for key, w in weights.items() if key.startswith("convcell.")}
    count = layers(branch_weights, "cell_list.")
    enc = "encoder.encoder_"
    dec = "encoder.decoder_"

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        h_phys, branch = state
        x = down(weights, f"{enc}E.c2", down(weights, f"{enc}E.c1", frame, 2))
        x = down(weights, f"{enc}E.c3", x, patch // 2)
        h_phys = phycell(weights, down(weights, f"{enc}Ep.c2", down(weights, f"{enc}Ep.c1", x)), h_phys)
        y, new = down(weights, f"{enc}Er.c2", down(weights, f"{enc}Er.c1", x)), []
        for number, (h, c) in enumerate(branch):
            key = f"convcell.cell_list.{number}.conv"
            a = F.conv2d(torch.cat([y, h], 1), weights[f"{key}.weight"], weights[f"{key}.bias"], padding=1)
            i, f, o, g = gates(a, 4)
            c = sig(f) * c + sig(i) * torch.tanh(g)
            y = sig(o) * torch.tanh(c)
            new.append((y, c))
        physical = up(weights, f"{dec}Dp.upc2", up(weights, f"{dec}Dp.upc1", h_phys))
        z = physical + up(weights, f"{dec}Dr.upc2", up(weights, f"{dec}Dr.upc1", y))
        z = up(weights, f"{dec}D.upc2", up(weights, f"{dec}D.upc1", z, 2))
        z = transposed(weights, f"{dec}D.upc3", z, patch // 2)
        return (sig(z) if sigmoid else z), (h_phys, new)

    def zeros(channels: int) -> Tensor:
        return clip.new_zeros(clip.shape[0], channels, clip.shape[-2] // patch, clip.shape[-1] // patch)

    widths = [weights[f"convcell.cell_list.{number}.conv.weight"].shape[0] // 4 for number in range(count)]
    start = zeros(widths[-1]), [(zeros(width), zeros(width)) for width in widths]
    return rollout(step, start, clip, feed)[0]


def moment_loss(weights: Weights) -> Tensor:
    """Σ over input channels of the mean squared difference of 49 kernels' moments from one derivative each."""
    kernels = weights["phycell.cell_list.0.F.conv1.weight"].double()  # (49, channels, 7, 7)
    offset = torch.arange(7, dtype=torch.float64) - 3
    squares = kernels.new_zeros(kernels.shape[1])
    for i in range(7):
        for j in range(7):
            filter_ij = (offset**i / factorial(i))[:, None] * (offset**j / factorial(j))
            moment = (kernels * filter_ij).sum((2, 3))
            wanted = torch.zeros_like(moment)
            wanted[7 * i + j] = 1
            squares = squares + ((moment - wanted) ** 2).sum(0)
    return (squares / (49 * 49)).sum()
