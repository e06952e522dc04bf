"""ConvLSTM, PredRNN, PredRNN++ and PredRNN-V2: each returns all emissions (PredRNN-V2 its decoupling term too)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.methods.oracles.tools import Weights, conv, from_patches, gates, layers, rollout, to_patches


def sig(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def zeros(weights: Weights, key: str, clip: Tensor, p: int) -> Tensor:
    """A zero state; the second axis of ``key``'s kernel is its width."""
    width = weights[f"{key}.0.weight"].shape[1]
    return clip.new_zeros(clip.shape[0], width, clip.shape[-2] // p, clip.shape[-1] // p)


def convlstm(weights: Weights, clip: Tensor, feed: Tensor, patch: int) -> Tensor:
    count = layers(weights, "cell_list.")

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        x, new = to_patches(frame, patch), []
        for number, (h, c) in enumerate(state):
            gx = gates(conv(weights, f"cell_list.{number}.conv_x", x), 4)
            gh = gates(conv(weights, f"cell_list.{number}.conv_h", h), 4)
            c = sig(gx[1] + gh[1]) * c + sig(gx[0] + gh[0]) * torch.tanh(gx[2] + gh[2])
            x = sig(gx[3] + gh[3]) * torch.tanh(c)
            new.append((x, c))
        return from_patches(F.conv2d(x, weights["conv_last.weight"]), patch), new

    zero = [zeros(weights, f"cell_list.{number}.conv_h", clip, patch) for number in range(count)]
    return rollout(step, [(z, z) for z in zero], clip, feed)[0]


def st_lstm(weights: Weights, key: str, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, ...]:
    """New h, c, m, then what was added to c and to m."""
    gx = gates(conv(weights, f"{key}.conv_x", x), 7)
    gh = gates(conv(weights, f"{key}.conv_h", h), 4)
    gm = gates(conv(weights, f"{key}.conv_m", m), 3)
    add_c = sig(gx[0] + gh[0]) * torch.tanh(gx[2] + gh[2])
    add_m = sig(gx[3] + gm[0]) * torch.tanh(gx[5] + gm[2])
    c = sig(gx[1] + gh[1] + 1) * c + add_c
    m = sig(gx[4] + gm[1] + 1) * m + add_m
    both = torch.cat([c, m], 1)
    o = sig(gx[6] + gh[3] + conv(weights, f"{key}.conv_o", both))
    return o * torch.tanh(F.conv2d(both, weights[f"{key}.conv_last.weight"])), c, m, add_c, add_m


def predrnnv2(weights: Weights, clip: Tensor, feed: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    count = layers(weights, "cell_list.")
    cosines: list[Tensor] = []

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        hc, m = state
        x, new = to_patches(frame, patch), []
        for number, (h, c) in enumerate(hc):
            x, c, m, add_c, add_m = st_lstm(weights, f"cell_list.{number}", x, h, c, m)
            new.append((x, c))
            if "adapter.weight" in weights:
                a, b = (F.conv2d(add, weights["adapter.weight"]) for add in (add_c, add_m))
                dot, norms = (a * b).sum((2, 3)), (a * a).sum((2, 3)).sqrt() * (b * b).sum((2, 3)).sqrt()
                cosines.append((dot / norms).abs().mean())
        return from_patches(F.conv2d(x, weights["conv_last.weight"]), patch), (new, m)

    zero = zeros(weights, "cell_list.0.conv_h", clip, patch)
    emissions, _ = rollout(step, ([(zero, zero)] * count, zero), clip, feed)
    return emissions, (torch.stack(cosines).mean() if cosines else clip.new_zeros(()))


def predrnn(weights: Weights, clip: Tensor, feed: Tensor, patch: int) -> Tensor:
    return predrnnv2(weights, clip, feed, patch)[0]


def predrnnpp(weights: Weights, clip: Tensor, feed: Tensor, patch: int) -> Tensor:
    count = layers(weights, "cell_list.")

    def cell(key: str, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gx = gates(conv(weights, f"{key}.conv_x", x), 7)
        gh = gates(conv(weights, f"{key}.conv_h", h), 4)
        gc = gates(conv(weights, f"{key}.conv_c", c), 3)
        gm = gates(conv(weights, f"{key}.conv_m", m), 3)
        c = sig(gx[1] + gh[1] + gc[1] + 1) * c + sig(gx[0] + gh[0] + gc[0]) * torch.tanh(gx[2] + gh[2] + gc[2])
        gk = gates(conv(weights, f"{key}.conv_c2m", c), 4)
        write = sig(gx[3] + gm[0] + gk[0]) * torch.tanh(gx[5] + gk[1])
        m = sig(gx[4] + gm[1] + gk[2] + 1) * torch.tanh(gm[2]) + write
        o = torch.tanh(gx[6] + gh[3] + gk[3] + conv(weights, f"{key}.conv_om", m))
        return o * torch.tanh(F.conv2d(torch.cat([c, m], 1), weights[f"{key}.conv_last.weight"])), c, m

    def step(frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        hc, m, z = state
        new = []
        h, c, m = cell("cell_list.0", to_patches(frame, patch), *hc[0], m)
        new.append((h, c))
        highway = "gradient_highway"
        p, u = gates(conv(weights, f"{highway}.z_concat", z) + conv(weights, f"{highway}.x_concat", h), 2)
        x = z = sig(u) * torch.tanh(p) + (1 - sig(u)) * z
        for number in range(1, count):
            x, c, m = cell(f"cell_list.{number}", x, *hc[number], m)
            new.append((x, c))
        return from_patches(F.conv2d(x, weights["conv_last.weight"]), patch), (new, m, z)

    zero = zeros(weights, "cell_list.0.conv_h", clip, patch)
    return rollout(step, ([(zero, zero)] * count, zero, zero), clip, feed)[0]
